import { join } from "node:path";
import type { Row } from "../data/datasets/index.js";
import { newestFirst, readCompletions } from "../page/completions.js";
import type { PageCompletion } from "../page/page-data.js";
import { FULL_DETAIL } from "../page/page-run.js";
import { MOST_COMPLETIONS } from "../page/server/live-run.js";
import type { PictureShelf } from "../page/server/picture-shelf.js";
import { clip } from "../page/text.js";
import type { CompletionRecord } from "../report/index.js";
import { COMPLETIONS_FILE } from "../report/run-files.js";
import { questionOf } from "../rewards/images.js";
import { weightedSum } from "../rewards/weighted-sum.js";
import type { RolloutReport } from "./events.js";

/** Completions with what they were asked, out of the rows that the run has open. */
export class ShownCompletions {
  private byId: Map<string, Row> | undefined;

  constructor(
    private readonly rows: () => readonly Row[] | undefined,
    /** Of the rewards. */
    private readonly weights: readonly number[] | undefined,
    private readonly pictures: PictureShelf,
  ) {}

  async ofRollout({ step, groups }: RolloutReport): Promise<PageCompletion[]> {
    const shown: PageCompletion[] = [];
    for (const { completions } of groups) for (const one of completions) shown.push(await this.show(step, one));
    return shown;
  }

  /** The newest of earlier parts of the run, the newest step first. */
  async ofFolder(folder: string): Promise<PageCompletion[]> {
    const lines = await readCompletions(join(folder, COMPLETIONS_FILE), MOST_COMPLETIONS);
    const shown: PageCompletion[] = [];
    for (const { step, advantage, finish_reason: finishReason, ...line } of newestFirst(lines, MOST_COMPLETIONS)) {
      shown.push(await this.show(step, { ...line, advantage: advantage ?? 0, finishReason }));
    }
    return shown;
  }

  private async show(step: number, record: CompletionRecord): Promise<PageCompletion> {
    const { id, completion, solution, rewards, advantage, tokens, finishReason } = record;
    const row = this.rowOf(id);
    const urls = await Promise.all((row?.images ?? []).map((path) => this.pictures.addPassing(path)));
    const reward = weightedSum(Object.values(rewards), this.weights);
    return {
      ...{ step, id, rewards, tokens, finishReason },
      pictures: urls.filter((url) => url !== undefined),
      question: cut(row === undefined ? "" : questionOf(row)),
      solution: cut(solution),
      completion: cut(completion),
      reward: Number.isNaN(reward) ? null : reward,
      advantage: Number.isFinite(advantage) ? advantage : 0,
    };
  }

  /** Looked up once the first completions are there. */
  private rowOf(id: string): Row | undefined {
    this.byId ??= new Map((this.rows() ?? []).map((row) => [row.id, row]));
    return this.byId.get(id);
  }
}

function cut(text: string): string {
  return clip(text, FULL_DETAIL.maxText);
}
