export { syncEntries, syncTree } from "./durable.js";
export { linesIn } from "./lines.js";
export { makeFolder } from "./make-folder.js";
export { type Holder, isAlive, ownHolder, readHolder } from "./process-lock.js";
export { pathBeside, replaceFile, replaceJson, UNFINISHED } from "./replace-file.js";
