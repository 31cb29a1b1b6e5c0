export { pathBeside, replaceFile, UNFINISHED } from "./replace-file.js";
