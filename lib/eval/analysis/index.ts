export { type AnswerParts, answerParts } from "./answer-parts.js";
export { type BootstrapOptions, type PairedDifference, pairedBootstrap } from "./bootstrap.js";
export { byClass, type ClassOf, type ClassScores, expectedName } from "./by-class.js";
export { classesByField } from "./class-field.js";
export { type ConfusionCount, confusion, confusions } from "./confusion.js";
export { type NumberBin, type NumberCalibration, numberCalibration } from "./number-calibration.js";
export { type ConfidenceInterval, signTest, wilsonInterval } from "./statistics.js";
