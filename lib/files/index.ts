export { syncEntries, syncTree } from "./durable.js";
export { pathBeside, replaceFile, UNFINISHED } from "./replace-file.js";
