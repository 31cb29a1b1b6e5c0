import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { toSnake } from "../../../lib/config/names.js";
import { grpoSchema } from "../../../lib/config/train-schema.js";
import { builtInRewards, rewardSettings } from "../../../lib/rewards/built-in.js";
import { SIGNS } from "../../../lib/trainer/watch-signs.js";

const ROOT = new URL("../../../", import.meta.url);
const PAGES = ["training", "losses", "rewards", "runs", "guards", "trackers", "models", "dashboard"];
const read = (page: string) => readFileSync(new URL(`docs/${page}.md`, ROOT), "utf8");

const fields = new Map(Object.entries(grpoSchema.shape).map(([name, field]) => [toSnake(name), field]));
/** What else has a name with an underscore. */
const OTHERS = new Set([
  ...builtInRewards,
  ...builtInRewards.flatMap((name) => Object.keys(rewardSettings(name)?.shape ?? {}).map(toSnake)),
  ...Object.keys(SIGNS),
  ...grpoSchema.shape.lossType.unwrap().options,
  // Metrics.
  ...["grad_norm", "grad_norm_clipped", "num_skipped_updates", "eval_reward", "eval_reward_best"],
  ...["frac_reward_zero_std"],
  // Fields of rows, values of settings, what a W&B run has.
  ...["reward_funcs", "accu_reward_method", "all_match", "od_ap", "od_ap50", "weighted_sum"],
  ...["resumed_from", "resumed_at_step", "accuracy_2"],
]);

/** `name`, or `name: value`, in backticks. */
function* quoted(text: string): Generator<{ name: string; value: string | undefined }> {
  for (const [, name = "", value] of text.matchAll(/`([a-z0-9]+(?:_[a-z0-9]+)+)(?:: ([^`]+))?`/g))
    yield { name, value };
}

describe.each(PAGES)("docs/%s.md", (page) => {
  const text = read(page);

  test("names options that there are, with values that they take", () => {
    const wrong: string[] = [];
    let seen = 0;
    for (const { name, value } of quoted(text)) {
      seen += 1;
      const field = fields.get(name);
      if (field === undefined) {
        if (!OTHERS.has(name)) wrong.push(name);
      } else if (value !== undefined && !field.safeParse(parse(value)).success) wrong.push(`${name}: ${value}`);
    }
    expect(wrong).toEqual([]);
    expect(seen).toBeGreaterThan(2);
  });

  test("gives options in its examples that there are", () => {
    const wrong: string[] = [];
    for (const [, yaml = ""] of text.matchAll(/```yaml\n([^`]*)```/g)) {
      for (const [name, value] of Object.entries(parse(yaml) as Record<string, unknown>)) {
        if (!fields.get(name)?.safeParse(value).success) wrong.push(`${name}: ${JSON.stringify(value)}`);
      }
    }
    // Scripts have flags of their own.
    const commands = text.replaceAll(/`[^`\n]*(?:npm run|scripts\/)[^`\n]*`/g, "");
    for (const [, flag = ""] of commands.matchAll(/ --([a-z][a-z-]+)/g)) {
      const known = fields.has(flag.replaceAll("-", "_")) || flags().has(flag.replaceAll("-", "_"));
      if (!known) wrong.push(`--${flag}`);
    }
    expect(wrong).toEqual([]);
  });

  test("names the defaults that options have", () => {
    // `reward_retries` (0), `reward_timeout` (30 s), `beta: 0` (default)
    const said = [
      ...[...text.matchAll(/`([a-z_]+)` \((\d[\d.]*)(?: s)?\)/g)],
      ...[...text.matchAll(/`([a-z_]+): (\S+)` \(default\)/g)],
    ].filter(([, name = ""]) => fields.has(name));
    const defaultOf = (name: string) => String(fields.get(name)?.safeParse(undefined).data);
    expect(said.filter(([, name = "", value]) => defaultOf(name) !== value).map(([all]) => all)).toEqual([]);
  });

  test("links to what there is", () => {
    const gone = [...text.matchAll(/\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)/g)]
      .map(([, target = ""]) => target)
      .filter((target) => target !== "" && !existsSync(fileURLToPath(new URL(`docs/${target}`, ROOT))));
    expect(gone).toEqual([]);
  });
});

/** Aliases of options, and what other programs take. */
function flags(): Set<string> {
  const aliases = [...fields.values()].flatMap((field) => (field.meta()?.aliases as string[] | undefined) ?? []);
  return new Set([...aliases.map(toSnake), "help", "logdir", "config", "port"]);
}

test("every option of training is read outside of the configuration", () => {
  const sources = readdirSync(new URL("lib/", ROOT), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.startsWith("config"))
    // A list of names, which is no use of them.
    .filter((file) => !file.endsWith("resume-options.ts"))
    .map((file) => readFileSync(new URL(`lib/${file}`, ROOT), "utf8"))
    .join("\n");
  const idle = Object.keys(grpoSchema.shape).filter((name) => !new RegExp(`\\b${name}\\b`).test(sources));
  expect(idle).toEqual([]);
});
