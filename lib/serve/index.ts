export type { RequestRecord } from "./http-server.js";
export { type ServeOptions, type Server, serve } from "./serve.js";
