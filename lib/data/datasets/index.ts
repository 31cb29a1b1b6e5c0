export { type Conversations, type LoadConversationsOptions, loadConversations, splitPaths } from "./conversations.js";
export { type FileRows, keepRows } from "./file-rows.js";
export { parseRow } from "./parse-row.js";
export { describeProblem, listIds, type Row, type RowProblem } from "./row.js";
export { contentKeys, linkedRows } from "./same-content.js";
export { type UniqueRows, withUniqueIds } from "./unique-ids.js";
