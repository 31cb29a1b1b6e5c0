// A food site on this machine, in the form of the lists that `crawl --site food-list` reads: groups, pages, pictures.
// Usage: node scripts/road/site.mjs [port]
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { root } from "../build/run.mjs";
import { readFoods } from "../food/foods.mjs";

const EXAMPLE = `${root}examples/food/`;
const GROUPS = 9;
const PER_PAGE = 10;
const STUDIOS = ["twemoji", "noto-v1", "emojione", "fluent-flat", "fluent-3d"];

/** Twenty-four foods in nine groups; a food is listed once for every studio that drew it. */
function readGroups() {
  const foods = readFoods(`${EXAMPLE}food.csv`).filter(({ quick }) => quick);
  const groups = Array.from({ length: GROUPS }, () => []);
  for (const [index, food] of foods.entries()) {
    const pictures = STUDIOS.map((studio) => `images/${studio}/${food.slug}.png`);
    const drawn = pictures.filter((picture) => existsSync(EXAMPLE + picture));
    groups[index % GROUPS].push(...drawn.map((picture) => ({ ...food, picture })));
  }
  return groups;
}

function listPage(foods) {
  const item = ({ zh, kcal, picture }) =>
    `<li><a href="#"><img src="/${picture}" alt=""></a><h4><a href="#">${zh}</a></h4><p>热量：${kcal} 大卡(每100克)</p></li>`;
  const items = foods.map(item).join("\n");
  return `<!doctype html><html lang="zh"><meta charset="utf-8"><title>食物</title><ul class="food-list">\n${items}\n</ul></html>`;
}

/** What the site answers to a path; undefined: there is no such page. */
function answer(groups, { pathname, searchParams }) {
  if (pathname === "/robots.txt") return { type: "text/plain", body: "User-agent: *\nDisallow: /private/\n" };
  const group = /^\/food\/group\/(\d+)$/.exec(pathname)?.[1];
  if (group !== undefined) {
    const foods = groups[Number(group) - 1];
    const first = (Number(searchParams.get("page") ?? 1) - 1) * PER_PAGE;
    return foods && { type: "text/html; charset=utf-8", body: listPage(foods.slice(first, first + PER_PAGE)) };
  }
  const picture = /^\/(images\/[\w-]+\/[\w-]+\.png)$/.exec(pathname)?.[1];
  const known = groups.flat().some((food) => food.picture === picture);
  return known ? { type: "image/png", body: readFileSync(EXAMPLE + picture) } : undefined;
}

/** Starts the site; `close` ends it. Pages behind a group's last one are empty. */
export async function startFoodSite(port = 0) {
  const groups = readGroups();
  const server = createServer((request, response) => {
    const found = answer(groups, new URL(request.url, "http://site"));
    response.writeHead(found ? 200 : 404, { "content-type": found?.type ?? "text/plain" });
    response.end(found?.body ?? "not found");
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    items: groups.flat().length,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url, items } = await startFoodSite(Number(process.argv[2] ?? 8080));
  console.log(`${items} foods in ${GROUPS} groups: ${url}/food/group/1?page=1`);
}
