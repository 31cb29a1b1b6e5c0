import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { PictureShelf } from "../../../../lib/page/server/picture-shelf.js";
import { ask, serve } from "../../../support/dashboard-server.js";
import { temporaryFolder } from "../../../support/temporary.js";

const folder = temporaryFolder();

describe("pictures", () => {
  const picture = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: "#a52" } });

  test("are those that the page lists, by what they are and not by what they are called", async () => {
    const { server, pictures } = await serve();
    const path = join(folder, "called.png");
    await picture(20, 10).jpeg().toFile(path);
    const url = await pictures.add(path);
    expect(url).toBe("pictures/0");
    expect(await pictures.add(path)).toBe(url);
    const { status, headers, bytes } = await ask(server, `/${url}`);
    expect({ status, type: headers["content-type"] }).toEqual({ status: 200, type: "image/jpeg" });
    expect((await sharp(bytes).metadata()).width).toBe(20);
    const again = await ask(server, `/${url}`, { headers: { "if-none-match": headers.etag as string } });
    expect(again).toMatchObject({ status: 304, text: "" });
    expect((await ask(server, "/pictures/1")).status).toBe(404);
  });

  test("that are large come smaller, and drawings, which may hold programs, not at all", async () => {
    const { server, pictures } = await serve();
    await picture(3000, 1500).png().toFile(join(folder, "large.png"));
    const drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>';
    writeFileSync(join(folder, "drawing.png"), drawing);
    const { headers, bytes } = await ask(server, `/${await pictures.add(join(folder, "large.png"))}`);
    expect(headers["content-type"]).toBe("image/webp");
    expect((await sharp(bytes).metadata()).width).toBe(640);
    expect((await ask(server, `/${await pictures.add(join(folder, "drawing.png"))}`)).status).toBe(404);
  });

  test("that are none are not shown", async () => {
    const { server, pictures } = await serve();
    mkdirSync(join(folder, "folder.png"), { recursive: true });
    writeFileSync(join(folder, "text.png"), "<html>secret</html>");
    expect(await pictures.add(join(folder, "none.png"))).toBeUndefined();
    expect(await pictures.add(join(folder, "folder.png"))).toBeUndefined();
    const url = await pictures.add(join(folder, "text.png"));
    expect(await ask(server, `/${url}`)).toMatchObject({ status: 404, text: "There is no such picture.\n" });
  });

  test("that pass by make room for others; those that stay do not", async () => {
    const shelf = new PictureShelf(8);
    const paths = Array.from({ length: 12 }, (_, index) => join(folder, `passing-${index}.png`));
    const bytes = await picture(2, 2).png().toBuffer();
    for (const path of paths) writeFileSync(path, bytes);
    await shelf.addPassing(paths[0] as string);
    await shelf.addPassing(paths[1] as string);
    await shelf.add(paths[0] as string);
    for (const path of paths) await shelf.addPassing(path);
    expect(await shelf.read(0)).toMatchObject({ type: "image/png" });
    expect(await shelf.read(1)).toBeUndefined();
    expect(await shelf.read(11)).toBeDefined();
  });
});
