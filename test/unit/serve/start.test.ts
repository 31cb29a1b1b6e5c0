import { describe, expect, test, vi } from "vitest";
import type * as Load from "../../../lib/engine/load.js";
import { serve } from "../../../lib/serve/index.js";
import { answeringAddon, END, MODEL, start } from "./fake-server.js";

const addon = answeringAddon(() => [END]);

vi.mock("../../../lib/engine/load.js", async (original) => ({
  ...(await original<typeof Load>()),
  addonPath: () => "fake.node",
  loadAddon: () => addon,
}));

describe("a server that cannot start", () => {
  test.each([
    [{ host: "0.0.0.0" }, "ERR_CONFIG", "can be reached by other machines"],
    [{ maxModelLen: 513 }, "ERR_CONFIG", "at most the model's 512"],
    [{ imageFolder: "no/such/folder" }, "ERR_NOT_FOUND", "image folder"],
    [{ model: "no/such/model" }, "ERR_NOT_FOUND", "no/such/model"],
    [{ host: "192.0.2.1", apiKey: "k" }, "ERR_NETWORK", "no such address"],
    [{ maxNumSeq: 4 }, "ERR_CONFIG", "max_num_seqs"],
  ])("says why: %j", async (options, code, message) => {
    const failed = await serve({ model: MODEL, port: 0, ...options }).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code });
    expect(`${(failed as Error).message} ${(failed as { hint?: string }).hint}`).toContain(message);
  });

  test("knows a port in use before it loads the model, and leaves it free after a failure", async () => {
    const { server } = await start();
    addon.calls.length = 0;
    const second = serve({ model: MODEL, port: server.port });
    await expect(second).rejects.toMatchObject({ code: "ERR_NETWORK", message: expect.stringContaining("in use") });
    expect(addon.calls).toEqual([]);
    await server.close();
    await expect(serve({ model: "none", port: server.port })).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
    await start({ port: server.port });
  });
});
