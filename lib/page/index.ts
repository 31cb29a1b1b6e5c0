export { renderPage } from "./html.js";
export type { PageData, PageRun } from "./page-data.js";
export type { Detail, PictureStore } from "./page-run.js";
export { type PageRunOptions, readPageRun } from "./read-run.js";
export { type ReportOptions, type WrittenReport, writeReport } from "./report.js";
