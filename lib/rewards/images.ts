import type { Row } from "../data/datasets/index.js";
import type { Picture } from "../processing/index.js";
import type { RewardImage } from "./types.js";

export { questionOf } from "../data/text/question.js";

/** A row's pictures for its rewards; `pictures` are those of its prompt, in the order of `row.images`. */
export function rewardImages(row: Row, pictures: readonly Omit<Picture, "image" | "tokens">[]): RewardImage[] {
  return pictures.map(({ width, height, resizedWidth, resizedHeight }, index) => ({
    path: row.images[index] ?? "",
    width,
    height,
    resizedWidth,
    resizedHeight,
  }));
}
