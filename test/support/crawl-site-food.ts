import { CrawlSite, food, listPage, picture } from "./crawl-site.js";

export interface FoodSite {
  site: CrawlSite;
  /** For `--start-url`. */
  startUrl: string;
  pages: string[];
}

/** Foods by group and page, as the built-in description has them; every third one shares its picture with another. */
export async function foodSite(groups: number, pages: number, perPage: number): Promise<FoodSite> {
  const site = await CrawlSite.start();
  const paths: string[] = [];
  let number = 0;
  for (let group = 1; group <= groups; group++) {
    for (let page = 1; page <= pages; page++) {
      const foods = Array.from({ length: perPage }, () => {
        number += 1;
        return food(`食物${number}`, `${number * 3} 大卡(每100克)`, `/img/${number - (number % 3 === 0 ? 1 : 0)}.png`);
      });
      const path = `/food/group/${group}?page=${page}`;
      site.on(path, listPage(...foods));
      paths.push(path);
    }
  }
  for (let n = 1; n <= number; n++) site.on(`/img/${n}.png`, await picture(n));
  return { site, startUrl: `${site.url}/food/group/{group}?page={page}`, pages: paths };
}
