import { compareRecords } from "../eval/index.js";
