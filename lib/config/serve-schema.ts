import { z } from "zod";
import { modelFields, seedField } from "./common.js";
import { underHeading } from "./headings.js";
import { SIZE_PATTERN } from "./size.js";

const seconds = (longest: number) => z.number().gt(0).max(longest);

const serverFields = underHeading("Server", {
  host: z.string().min(1).default("127.0.0.1").describe("address to listen on"),
  port: z.int().min(0).max(65535).default(8000).describe("port to listen on; 0: any that is free"),
  apiKey: z
    .string()
    .min(1)
    .optional()
    .describe("key that clients have to send (default: VLMR1_API_KEY, which other users of the machine cannot read)"),
  allowUnauthenticated: z
    .boolean()
    .default(false)
    .describe("answer without an api_key also where other machines can ask, and under any host name"),
  servedModelName: z
    .string()
    .min(1)
    .optional()
    .describe("what clients call the model (default: the folder's name, or the hub name)"),
  imageFolder: z
    .string()
    .min(1)
    .optional()
    .describe("let requests name pictures in this folder, by file:// or a path; without it they have to send them"),
  corsOrigin: z
    .array(z.string().min(1))
    .default([])
    .describe("web pages that may ask, such as https://chat.example; *: all"),
});

const limitFields = underHeading("Limits", {
  maxNumSeqs: z.int().min(1).max(4096).default(16).describe("completions that grow at once; the next ones wait"),
  maxQueueLen: z.int().min(0).default(64).describe("requests that may wait beside those; more are refused with 429"),
  maxModelLen: z
    .int()
    .min(2)
    .optional()
    .describe("most tokens of a prompt and its completion together (default: the model's)"),
  maxRequestBytes: z
    .union([z.string(), z.number()])
    .transform(String)
    .pipe(z.string().regex(SIZE_PATTERN, "expected a size such as 20MiB or a number of bytes"))
    .default("20MiB")
    .describe("largest body of a request, with its pictures, and largest picture in image_folder"),
  maxMessages: z.int().min(1).default(1024).describe("most messages of a request"),
  maxImages: z.int().min(0).default(16).describe("most pictures of a request"),
  maxImagePixels: z.int().min(1).default(33_554_432).describe("most pixels of a picture before it is resized"),
  maxConnections: z.int().min(1).default(256).describe("most open connections"),
  receiveTimeout: seconds(3600).default(30).describe("seconds in which a request has to come in, and a client to read"),
  requestTimeout: seconds(86_400).default(600).describe("seconds after which a request is given up"),
  shutdownTimeout: z
    .number()
    .min(0)
    .max(3600)
    .default(10)
    .describe("seconds that requests have to end when the server is stopped"),
});

/** `vlmr1-native serve` and `serve()`. */
export const serveSchema = z.object({
  ...modelFields,
  ...serverFields,
  ...limitFields,
  seed: seedField.seed.describe(
    "names, with their number since the start, the samples of requests without a seed of their own",
  ),
});

export type ServeConfig = z.output<typeof serveSchema>;
export type ServeInput = z.input<typeof serveSchema>;
