import { cmakeVersion } from "../build/cmake.mjs";
import { nativeBench } from "./common/native.mjs";
import { figure, percent, table } from "./common/numbers.mjs";

export const about = "each kernel against the machine's measured peaks, products beside oneDNN and OpenBLAS";
export const defaults = { rounds: 5, threads: 0, filter: "" };
export const quick = {};
export const lacking = () => (cmakeVersion() ? undefined : "it needs CMake 3.20 or later on the PATH");

export function run({ rounds, threads, filter, isQuick }) {
  const args = ["--rounds", String(rounds), "--threads", String(threads)];
  if (filter !== "") args.push("--filter", filter);
  if (isQuick) args.push("--quick");
  return nativeBench(args);
}

export function print({ backend, peaks, libraries, kernels }) {
  console.log(`${backend}; measured peaks, one thread and all:`);
  const unit = { f32: "GFLOP/s", bf16: "GFLOP/s", l2: "GB/s read", l3: "GB/s read", dram: "GB/s read" };
  const rows = Object.entries(peaks).map(([name, { one, all }]) => [`${name} ${unit[name]}`, figure(one), figure(all)]);
  console.log(table([["peak", "1", "all"], ...rows]));
  const names = libraries.map((library) => library.split(" ")[0]);
  if (names.length > 0) console.log(`\n× ${names.join(", ×")}: how many times as fast as ${libraries.join(" and ")}`);
  for (const group of new Set(kernels.map((kernel) => kernel.group))) {
    const own = kernels.filter((kernel) => kernel.group === group);
    const compared = names.filter((name) => own.some(({ against }) => name in against));
    console.log(`\n${table([head(group, compared), ...own.map((kernel) => row(kernel, compared))])}`);
  }
}

function head(group, compared) {
  return [group, "of peak", "bound by", "GFLOP/s", "GB/s", ...compared.map((name) => `× ${name}`)];
}

function row({ name, ofPeak, bound, gflops, gigabytes, against }, compared) {
  const ratios = compared.map((library) => against[library]?.toFixed(2) ?? "");
  return [name, percent(ofPeak), bound, figure(gflops), figure(gigabytes), ...ratios];
}
