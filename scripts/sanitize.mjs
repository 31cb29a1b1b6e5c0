// `npm run test:sanitize`: the native tests with the compiler's sanitizers, in builds of their own. Needs CMake.
// Usage: node scripts/sanitize.mjs [address | thread] [words of test names …]
import { cpus } from "node:os";
import { BuildError, main, root, run, runQuietly, step } from "./build/run.mjs";

// A test asks for more memory than there is.
const COMMON = "allocator_may_return_null=1";
const SANITIZERS = {
  address: {
    flags: "-fsanitize=address,undefined -fno-sanitize-recover=undefined",
    env: {
      ASAN_OPTIONS: `${COMMON}:detect_stack_use_after_return=1:strict_init_order=1`,
      UBSAN_OPTIONS: "print_stacktrace=1",
    },
  },
  thread: { flags: "-fsanitize=thread", env: { TSAN_OPTIONS: `${COMMON}:halt_on_error=1` } },
};

const args = process.argv.slice(2);
const names = args[0] in SANITIZERS ? [args.shift()] : Object.keys(SANITIZERS);

await main(async () => {
  for (const name of names) {
    const { flags, env } = SANITIZERS[name];
    const folder = `build/sanitize-${name}`;
    const folders = ["-S", ".", "-B", folder, "-DVLMR1_ADDON=OFF", "-DCMAKE_BUILD_TYPE=Release"];
    await step(`${name}: compiling into ${folder}`, async () => {
      await runQuietly("cmake", [...folders, `-DCMAKE_CXX_FLAGS=${flags} -g -fno-omit-frame-pointer`]);
      await runQuietly("cmake", ["--build", folder, "--parallel", String(cpus().length)]);
    });
    const code = await step(`${name}: native tests`, () => run(`${root}${folder}/vlmr1_native_tests`, args, env));
    if (code !== 0) throw new BuildError(`the ${name} sanitizer or a test under it failed`);
  }
});
