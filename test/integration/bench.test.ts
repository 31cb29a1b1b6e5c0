import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Seconds on an idle machine; others may keep it busy, and native code be compiled first. */
const LONG = 300_000;

function bench(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${ROOT}scripts/bench/main.mjs`, ...args], {
    cwd: ROOT,
    encoding: "utf8",
  });
  return { code: status, stdout, stderr };
}

// Scripts have no types.
const script = (name: string) => import(`${ROOT}scripts/bench/${name}.mjs`);

function results(...args: string[]) {
  const { code, stdout, stderr } = bench(...args, "--quick", "--json");
  // A compiler that is called may warn on stderr.
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

const POSITIVE = expect.toSatisfy((value: unknown) => typeof value === "number" && value > 0);
const RATIOS = { median: POSITIVE, min: POSITIVE, max: POSITIVE };

test("the phases of a step", { timeout: LONG }, () => {
  const { machine, phases } = results("phases");
  expect(machine.cores).toBeGreaterThan(0);

  // What is a difference of two times may be anything where nothing takes long.
  const parts = ["vision", "prefill", "decode", "forward", "backward", "optimizer", "logProbs"];
  expect(Object.keys(phases.phases)).toEqual(parts);
  expect(phases.phases.prefill).toMatchObject({ seconds: POSITIVE, tokensPerSecond: POSITIVE, gflops: POSITIVE });
  expect(phases.phases.optimizer).toMatchObject({ seconds: POSITIVE, gigabytesPerSecond: POSITIVE });
  expect(phases).toMatchObject({ promptTokens: POSITIVE, peakBytes: POSITIVE, options: { precision: "f32" } });
});

test("a group with its prompt shared and with nothing shared", { timeout: LONG }, () => {
  const { tree } = results("tree");
  expect(tree.groups).toHaveLength(2);
  for (const group of tree.groups) {
    const { generations: g, promptTokens: p, completion: r } = group;
    expect(group).toMatchObject({ training: RATIOS, generation: RATIOS, both: RATIOS });
    expect(group.tokenBound).toBeCloseTo((g * (p + r)) / (p + g * r));
    expect(group.memory.unshared).toBeGreaterThanOrEqual(group.memory.shared);
  }
});

test("a step over tokens, threads and parameters", { timeout: LONG }, () => {
  const { scaling } = results("scaling");
  expect(scaling.tokens.map((one: { tokens: number }) => one.tokens)).toEqual([88, 96, 112, 248, 808]);
  for (const one of scaling.tokens) expect(one).toMatchObject({ time: POSITIVE, timePerUnit: POSITIVE });
  expect(scaling.threads[0]).toMatchObject({ threads: 1, speedup: 1, efficiency: 1 });
  expect(scaling.parameters[0]).toMatchObject({ parameters: POSITIVE, gflops: POSITIVE });
});

test("requests that are answered together and one after another", { timeout: LONG }, () => {
  const { serve } = results("serve");
  expect(serve.loads.map((one: { requests: number }) => one.requests)).toEqual([2, 3]);
  for (const one of serve.loads)
    expect(one).toMatchObject({ together: RATIOS, samePrompt: RATIOS, tokensPerSecond: POSITIVE });
});

test("a suite takes the options that are its own, in bf16 too", { timeout: LONG }, () => {
  const { tree, ...others } = results("tree", "--precision", "bf16", "--shape", "3,70,2");
  expect(Object.keys(others)).toEqual(["machine"]);
  expect(tree.options.precision).toBe("bf16");
  expect(tree.groups).toMatchObject([{ generations: 3, promptTokens: 70, completion: 2 }]);
});

// CI compiles the program before the tests; elsewhere `npm run bench` does.
const hasNativeBench = existsSync(`${ROOT}build/Release/vlmr1_native_bench`);
test.skipIf(!hasNativeBench)("kernels are shares of measured peaks", { timeout: LONG }, () => {
  const { kernels } = results("kernels");
  for (const name of ["f32", "bf16", "l2", "l3", "dram"])
    expect(kernels.peaks[name]).toEqual({ one: POSITIVE, all: POSITIVE });
  const groups = new Set(kernels.kernels.map((kernel: { group: string }) => kernel.group));
  expect([...groups]).toEqual(["gemm", "attention", "norm", "activation", "optimizer", "logprob", "sampling"]);
  for (const kernel of kernels.kernels) {
    expect(kernel).toMatchObject({ seconds: POSITIVE, gigabytes: POSITIVE, ofPeak: POSITIVE });
    expect(["compute", "L2", "L3", "DRAM"]).toContain(kernel.bound);
    for (const ratio of Object.values(kernel.against)) expect(ratio).toEqual(POSITIVE);
  }
});

describe("a wrong command line", () => {
  test("ends with 2 and says where help is", () => {
    const { code, stderr } = bench("fast");
    expect(stderr).toContain('no suite "fast"; there are: kernels, phases, tree, scaling');
    expect(stderr).toContain("npm run bench -- --help");
    expect(code).toBe(2);
  });

  test.each([
    [["phases", "--preset", "huge"], "--preset: expected one of tiny, starter, bench-10m"],
    [["phases", "--rounds", "0"], '--rounds: expected a whole number of at least 1, got "0"'],
    [["phases", "--rounds", ""], '--rounds: expected a whole number of at least 1, got ""'],
    [["tree", "--filter", "gemm"], "--filter: not an option of tree"],
    [["phases", "--tokens=-1"], '--tokens: expected a whole number of at least 0, got "-1"'],
    [["scaling", "--over", "time"], "--over: expected one of tokens, threads, parameters"],
    [["--nonsense"], "'--nonsense'"],
  ])("%j is refused", async (args, message) => {
    const { readCommandLine } = await script("common/options");
    const suites = { phases: await script("phases"), tree: await script("tree"), scaling: await script("scaling") };
    expect(() => readCommandLine(args, suites)).toThrow(message);
  });

  test("a prompt as it is has nothing to be made longer", async () => {
    const { readCommandLine } = await script("common/options");
    const [phases, scaling] = [await script("phases"), await script("scaling")];
    expect(readCommandLine(["phases", "--tokens", "0"], { phases }).given).toEqual({ tokens: 0 });
    const { run, defaults, quick } = scaling;
    await expect(run({ ...defaults, ...quick, tokens: 0 })).rejects.toThrow("--tokens: 0 is nothing to make longer");
  });

  test.each([
    ["8,300", "as 8,300,64, got"],
    ["1,300,8", "as 8,300,64, got"],
    ["2,20,4", "use a smaller --picture"],
  ])("a group of %s is refused", async (shape, message) => {
    const { run, defaults, quick } = await script("tree");
    await expect(run({ ...defaults, ...quick, shape: [shape] })).rejects.toThrow(message);
  });
});
