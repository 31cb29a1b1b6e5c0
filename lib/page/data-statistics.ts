import { z } from "zod";
import type { RunDataStatistics } from "./page-data.js";

const HistogramSchema = z.object({ edges: z.array(z.number()), counts: z.array(z.number()) });

/** What a run's `data.json` holds: of the rows that it trains on. */
export const DataStatisticsSchema: z.ZodType<RunDataStatistics> = z.object({
  rows: z.number(),
  pictures: z.number(),
  questions: z.number(),
  answers: z.number(),
  commonAnswers: z.array(z.object({ name: z.string(), count: z.number() })),
  numbers: HistogramSchema.optional(),
  questionLength: HistogramSchema.optional(),
  answerLength: HistogramSchema.optional(),
  heldOutRows: z.number().optional(),
});
