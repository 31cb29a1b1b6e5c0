import { deflateSync } from "node:zlib";
import CRC32 from "crc-32";
import type { Columns, Example, PageCompletion, PageData, PageRun } from "../../lib/page/page-data.js";

/** What a page must show as text and nothing else. */
export const HOSTILE = [
  "</script><script>window.hacked = 1</script>",
  '<img src=x onerror="window.hacked = 2"><!-- <b>bold</b>',
  "\u202egnp.exe\u202c and \u0000\u0007\u001b[31m control",
  "مرحبا بالعالم 52 كيلو كالوري",
  "line\u2028separator\u2029 and lone \ud800 surrogate",
  `${"very long ".repeat(10_000)}end`,
];

const FOODS = [
  "red apple 52 kcal",
  "birthday cake 373 kcal",
  "玉米 86千卡",
  "eggplant 25 kcal",
  "french fries 312 kcal",
];

/** A number of [0, 1) that looks random and is the same every time. */
function noise(index: number): number {
  const value = Math.sin(index * 12.9898) * 43758.5453;
  return value - Math.floor(value);
}

export function pageData(overrides: Partial<PageData> = {}): PageData {
  return {
    ...{ kind: "report", title: "food-grpo", version: "0.1.0", made: "2026-03-04T05:06:07.000Z" },
    runs: [pageRun()],
    pictures: FOODS.map((_, index) => picture(index)),
    ...overrides,
  };
}

export function pageRun(overrides: Partial<PageRun> = {}, steps = 120): PageRun {
  return {
    ...{ name: "food-grpo", status: "finished", objective: "grpo", step: steps, totalSteps: steps },
    steps: stepColumns(steps, overrides.name?.length ?? 0),
    evaluations: evaluationColumns(steps),
    heldOut: {
      labels: ["before", "after"],
      rows: 192,
      scores: [
        score("reward", "number", 1.402, 1.871, 0.06),
        score("right name", "share", 0.25, 0.563, 0.07),
        score("right number", "share", 0.26, 0.297, 0.05),
        score("right format", "share", 1, 1, 0),
        score("tokens", "number", 22, 19, 0.5),
        score("rewards/content", "number", 0.402, 0.871, 0.06),
        score("rewards/format", "number", 1, 0.99, 0.004),
      ],
    },
    gallery: examples(60),
    regressions: examples(60).filter(({ answers }) => (answers[0]?.reward ?? 0) > (answers[1]?.reward ?? 0)),
    completions: Array.from({ length: 64 }, (_, index) => completion(steps - Math.floor(index / 8), index)),
    warnings: [
      { step: 14, message: 'picture "broken.png" cannot be read; its row is left out' },
      { step: 90, message: HOSTILE[0] as string },
    ],
    config: {
      ...{ model: "examples/food/starter", learning_rate: 0.0002, num_generations: 8, beta: 0.04, loss_type: "dapo" },
      ...{ rewards: ["content", "format"], prompt_suffix: HOSTILE[1], seed: 1, lora: { r: 16, alpha: 32 } },
    },
    environment: { "vlmr1-native": "0.1.0", node: "v22.1.0", processor: "8 cores, AVX-512", threads: 8, device: "cpu" },
    data: {
      ...{ rows: 560, pictures: 380, questions: 12, answers: 222 },
      commonAnswers: ["red apple", "玉米", "birthday cake", HOSTILE[1] as string].map((name, index) => ({
        name,
        count: 40 - 9 * index,
      })),
      numbers: { edges: [0, 100, 200, 300, 400, 500], counts: [120, 61, 40, 12, 3] },
      questionLength: { edges: [10, 20, 30, 40], counts: [100, 300, 160] },
    },
    ...overrides,
  };
}

/** Rewards that rise, and the other numbers of GRPO under the names that a run has for them. */
export function stepValues(step: number, shift = 0): Record<string, number | null> {
  const random = (salt: number) => noise(step * 31 + salt + shift);
  const content = 0.95 - 0.6 * Math.exp(-(step + 3 * shift) / 45) + 0.12 * (random(1) - 0.5);
  const format = Math.min(1, 0.7 + step / 60 + 0.05 * (random(2) - 0.5));
  const mean = 20 + 3 * random(3);
  return {
    ...{ epoch: step / 35, reward: content + format, reward_std: 0.5 - step / 600 },
    ...{ "rewards/content/mean": content, "rewards/content/std": 0.4, "rewards/format/mean": format },
    ...{ "completions/mean_length": mean, "completions/min_length": mean - 7, "completions/max_length": mean + 9 },
    ...{ "completions/clipped_ratio": 0.02 * random(4), entropy: 0.2 + 0.4 * Math.exp(-step / 40) + 0.03 * random(5) },
    ...{ kl: step % 17 === 0 ? null : 0.0004 * step + 0.002 * random(6), loss: 0.02 * (random(7) - 0.5) },
    ...{
      grad_norm: 0.3 + 0.2 * random(8),
      grad_norm_clipped: 0.3 + 0.1 * random(8),
      frac_reward_zero_std: 0.2 * random(9),
    },
    ...{ "clip_ratio/low_mean": 0, "clip_ratio/high_mean": 0, "clip_ratio/region_mean": 0 },
    ...{ learning_rate: 2e-4 * (1 - step / 500), num_tokens: 7435 * step, step_time: 0.45 + 0.1 * random(10) },
  };
}

function stepColumns(count: number, shift: number): Columns {
  const columns: Columns = { step: [], values: {} };
  for (let step = 1; step <= count; step += 1) {
    columns.step.push(step);
    for (const [name, value] of Object.entries(stepValues(step, shift))) {
      columns.values[name] ??= [];
      columns.values[name].push(value);
    }
  }
  return columns;
}

function evaluationColumns(count: number): Columns {
  const step = [0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * count));
  const rising = (from: number, to: number) => step.map((_, index) => from + ((to - from) * index) / 4);
  return {
    step,
    values: {
      ...{ eval_reward: rising(1.402, 1.871), eval_name_accuracy: rising(0.25, 0.563), eval_format_rate: rising(1, 1) },
      ...{ "eval_rewards/content/mean": rising(0.402, 0.871), "eval_completions/mean_length": rising(22, 19) },
    },
  };
}

function score(name: string, unit: "share" | "number", first: number, second: number, half: number) {
  const value = second - first;
  return { name, unit, first, second, difference: { value, low: value - half, high: value + half } };
}

function answer(label: string, food: string, right: boolean) {
  const text = `<think>The picture shows ${food.replace(/\d.*/, "").trim()}.</think><answer>${food}</answer>`;
  const rewards = { content: right ? 1 : 0.2, format: 1 };
  return { label, text, reward: right ? 2 : 1.2, rewards, right: { name: right, number: right, format: true } };
}

export function examples(count: number): Example[] {
  return Array.from({ length: count }, (_, index) => {
    const solution = FOODS[index % FOODS.length] as string;
    const other = FOODS[(index + 1) % FOODS.length] as string;
    const [before, after] = [index % 3 === 0, index % 4 !== 3];
    const answers = [
      answer("before", before ? solution : other, before),
      {
        ...answer("after", after ? solution : other, after),
        ...(index < HOSTILE.length && { text: HOSTILE[index] as string }),
      },
    ];
    const question = index === 1 ? `Name it. ${HOSTILE[1]}` : "Which food is in the picture? How many kcal per 100 g?";
    return { id: `food-${index}`, pictures: index === 4 ? [] : [String(index % 5)], question, solution, answers };
  });
}

export function completion(step: number, index: number): PageCompletion {
  const solution = FOODS[index % FOODS.length] as string;
  const text =
    index < HOSTILE.length ? HOSTILE[index] : `<think>It is food number ${index}.</think><answer>${solution}</answer>`;
  return {
    ...{ step, id: `food-${index}`, pictures: [String(index % 5)], question: "Name the food and its kcal per 100 g." },
    ...{
      solution,
      completion: text as string,
      reward: 1 + noise(index),
      rewards: { content: noise(index), format: 1 },
    },
    ...{ advantage: noise(index) - 0.5, tokens: 18 + (index % 9), finishReason: index % 11 === 0 ? "length" : "stop" },
  };
}

/** A PNG of one colour with a disc in it, as a data: URL. */
function picture(index: number): string {
  const size = 48;
  const [red, green, blue] = [noise(index + 1), noise(index + 2), noise(index + 3)].map((value) => 80 + 150 * value);
  const rows = Array.from({ length: size }, (_, y) => {
    const row = Buffer.alloc(1 + 3 * size, 255);
    row[0] = 0;
    for (let x = 0; x < size; x += 1) {
      if (Math.hypot(x - 24, y - 24) < 19) row.set([red as number, green as number, blue as number], 1 + 3 * x);
    }
    return row;
  });
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const parts = [
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(Buffer.concat(rows))),
    chunk("IEND", Buffer.alloc(0)),
  ];
  const png = Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), ...parts]);
  return `data:image/png;base64,${png.toString("base64")}`;
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeInt32BE(CRC32.buf(body), body.length + 4);
  return out;
}
