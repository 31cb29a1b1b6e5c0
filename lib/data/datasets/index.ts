export { type Conversations, type LoadConversationsOptions, loadConversations, splitPaths } from "./conversations.js";
export { parseRow } from "./parse-row.js";
export { describeProblem, type Row, type RowProblem } from "./row.js";
