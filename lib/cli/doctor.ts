import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import type { Command } from "commander";
import type { NativeAddon } from "../engine/index.js";
import { addonPath, Engine, loadAddon } from "../engine/index.js";
import { VlmR1Error } from "../errors/index.js";
import type { CliContext } from "./context.js";

export interface Check {
  name: string;
  /** "note": not as good as it could be, and no reason to fail. */
  status: "ok" | "note" | "fail";
  detail: string;
  hint?: string | undefined;
}

export function register(program: Command, context: CliContext): void {
  program
    .command("doctor")
    .description("check that this machine can run everything, and say what it has")
    .option("--json", "print the checks as JSON")
    .addHelpText("after", "\nExample:\n  vlmr1-native doctor")
    .action(async (options: { json?: boolean }) => {
      const checks = await runChecks();
      const ok = checks.every(({ status }) => status !== "fail");
      if (options.json === true) context.stdout.write(`${JSON.stringify({ ok, version: context.version, checks })}\n`);
      else for (const check of checks) context.stdout.write(line(check));
      if (!ok) throw new VlmR1Error("ERR_STATE", "something that is needed is missing; see the lines marked FAIL");
    });
}

function line({ name, status, detail, hint }: Check): string {
  const mark = { ok: "ok  ", note: "note", fail: "FAIL" }[status];
  return `${mark}  ${name.padEnd(8)} ${detail}${hint === undefined ? "" : `\n                ${hint}`}\n`;
}

/** Everything that has to be there for a run, in the order in which it is needed. */
export async function runChecks(): Promise<Check[]> {
  const checks = [checkNode(), checkMemory(), await checkSharp()];
  const { check, addon } = checkAddon();
  checks.push(check);
  if (addon === undefined) return checks;
  return [...checks, ...(await checkCpu(addon)), checkCuda(addon)];
}

function checkNode(): Check {
  const [major = 0, minor = 0, patch = 0] = process.versions.node.split(".").map(Number);
  const detail = `Node ${process.versions.node}, ${process.platform}-${process.arch}`;
  const enough = major > 20 || (major === 20 && (minor > 18 || (minor === 18 && patch >= 1)));
  return enough
    ? { name: "node", status: "ok", detail }
    : { name: "node", status: "fail", detail, hint: "Node 20.18.1 or later is needed." };
}

function checkMemory(): Check {
  const gib = (bytes: number) => (bytes / 1024 ** 3).toFixed(1);
  const [cpu] = cpus();
  const detail = `${gib(freemem())} of ${gib(totalmem())} GiB free; ${availableParallelism()} × ${cpu?.model.trim() ?? "CPU"}`;
  const enough = totalmem() >= 2 * 1024 ** 3;
  return {
    name: "machine",
    status: enough ? "ok" : "note",
    detail,
    hint: enough ? undefined : "Only tiny models will fit.",
  };
}

async function checkSharp(): Promise<Check> {
  try {
    const { default: sharp } = await import("sharp");
    return { name: "sharp", status: "ok", detail: `sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}` };
  } catch (error) {
    const hint = "Pictures cannot be decoded. Reinstall with: npm install --include=optional sharp";
    return { name: "sharp", status: "fail", detail: firstLine(error), hint };
  }
}

function checkAddon(): { check: Check; addon?: NativeAddon } {
  try {
    const addon = loadAddon();
    return { check: { name: "addon", status: "ok", detail: `version ${addon.version}, ${addonPath()}` }, addon };
  } catch (error) {
    const hint = error instanceof VlmR1Error ? error.hint : "Build it again: npm run build";
    return { check: { name: "addon", status: "fail", detail: firstLine(error), hint } };
  }
}

async function checkCpu(addon: NativeAddon): Promise<Check[]> {
  const { compiled, supported, selected, logicalCores } = addon.cpuInfo();
  const usable = compiled.filter((isa) => supported.includes(isa));
  const isa: Check = {
    name: "isa",
    status: "ok",
    detail: `${selected}; built: ${compiled.join(", ")}; usable here: ${usable.join(", ")}`,
  };
  try {
    const engine = await Engine.open({ device: "cpu" });
    const detail = `${engine.threads} of ${logicalCores} logical cores, ${engine.isa}; pictures decoded at a time: ${engine.threads}`;
    engine.dispose();
    return [isa, { name: "threads", status: "ok", detail }];
  } catch (error) {
    const hint = "Check VLMR1_THREADS and VLMR1_CPU_ISA.";
    return [isa, { name: "threads", status: "fail", detail: firstLine(error), hint }];
  }
}

function checkCuda(addon: NativeAddon): Check {
  const { available, reason } = addon.cudaInfo();
  return {
    name: "cuda",
    status: available ? "ok" : "note",
    detail: reason || (available ? "available" : "not available"),
  };
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split("\n")[0] ?? message;
}
