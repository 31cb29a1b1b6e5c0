import { z } from "zod";
import { SIZE_PATTERN } from "./size.js";

/** `vlmr1-native report`, `writeReport(folders, {…})`. */
export const reportSchema = z.object({
  out: z.string().min(1).optional().describe("file to write (default: report.html in the first run's folder)"),
  title: z.string().min(1).optional().describe("of the page (default: the runs' names)"),
  maxSize: z
    .union([z.string(), z.number()])
    .transform(String)
    .pipe(z.string().regex(SIZE_PATTERN, "expected a size such as 3MB, 500KB or a number of bytes"))
    .default("3MB")
    .describe("of the file, at most: pictures, texts and curves are made smaller, then fewer, until it fits"),
  gallery: z.int().min(0).default(60).describe("held-out questions to show with their answers, of each run"),
  regressions: z.int().min(0).default(12).describe("questions to show whose reward fell most, of each run"),
  completions: z.int().min(0).default(64).describe("completions of the training to show, the newest, of each run"),
});

export type ReportInput = z.input<typeof reportSchema>;
