export { type CheckedRow, type CheckOptions, type CheckResult, checkData, unusableRows } from "./check.js";
export { type ConvertOptions, type ConvertReport, type ConvertResult, convertData } from "./convert.js";
export { type CheckedPicture, type RowTokens, renderRow } from "./measure-row.js";
export type { OutputPaths } from "./outputs.js";
export type { Quantiles } from "./quantiles.js";
export type { ConvertProblem, ProblemKind, SourceFormat } from "./source.js";
export { templateSetNames } from "./template-sets.js";
