export { lossSettings } from "../losses/index.js";
