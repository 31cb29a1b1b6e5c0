export { syncEntries, syncTree } from "./durable.js";
export { type Holder, isAlive, ownHolder, readHolder } from "./process-lock.js";
export { pathBeside, replaceFile, UNFINISHED } from "./replace-file.js";
