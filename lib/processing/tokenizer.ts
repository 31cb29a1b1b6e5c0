import { existsSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import { z } from "zod";
import { VlmR1Error } from "../errors/index.js";
import { readJson } from "./json-file.js";
import { StreamDecoder, tokenBytes } from "./stream-decoder.js";

const TokenField = z
  .union([z.string(), z.object({ content: z.string() })])
  .nullish()
  .transform((token) => (typeof token === "object" ? (token?.content ?? undefined) : token));

const TokenizerConfig = z.looseObject({
  eos_token: TokenField,
  bos_token: TokenField,
  pad_token: TokenField,
  unk_token: TokenField,
  chat_template: z.unknown().optional(),
});

const TokenizerFile = z.looseObject({
  model: z.looseObject({ type: z.string().optional() }),
  decoder: z.looseObject({ type: z.string() }).nullish(),
});

type ConfigFields = z.output<typeof TokenizerConfig>;

export interface DecodeOptions {
  /** Leave out special tokens such as `<|im_end|>`; ordinary added tokens such as `<think>` stay. */
  skipSpecialTokens?: boolean | undefined;
}

/**
 * The tokenizer of a Hugging Face folder. Its ids are those of the Python library, except in texts with characters that
 * are newer than that library's tables: marks since Unicode 10, whose order is normalised here and not there, and
 * letters since Unicode 16, which are words here and symbols there.
 */
export class Tokenizer {
  /** One more than the highest token id. */
  readonly vocabSize: number;
  /** Ids of added tokens, which are always a token of their own in a text. */
  private readonly added = new Map<number, { content: string; special: boolean }>();

  private constructor(
    private readonly inner: HfTokenizer,
    readonly config: ConfigFields,
    private readonly byteLevel: boolean,
  ) {
    let highest = -1;
    for (const id of inner.get_vocab(true).values()) if (id > highest) highest = id;
    for (const [id, { content, special }] of inner.get_added_tokens_decoder()) this.added.set(id, { content, special });
    for (const id of this.added.keys()) if (id > highest) highest = id;
    this.vocabSize = highest + 1;
  }

  /** Reads tokenizer.json and tokenizer_config.json. */
  static async load(directory: string): Promise<Tokenizer> {
    const file = await readJson(directory, "tokenizer.json", TokenizerFile, "ERR_TOKENIZER");
    if (file === undefined) throw noTokenizer(directory);
    const config = (await readJson(directory, "tokenizer_config.json", TokenizerConfig, "ERR_TOKENIZER")) ?? {
      chat_template: undefined,
    };
    try {
      const settings = { ...config, clean_up_tokenization_spaces: false };
      return new Tokenizer(new HfTokenizer(file, settings), config as ConfigFields, isByteLevel(file));
    } catch (cause) {
      const path = join(directory, "tokenizer.json");
      throw new VlmR1Error("ERR_TOKENIZER", `${path}: cannot be used: ${(cause as Error).message}`, { cause });
    }
  }

  /** Token ids of a text; special tokens that are written out in it become their ids, none are added. */
  encode(text: string): number[] {
    return text === "" ? [] : this.inner.encode(text, { add_special_tokens: false }).ids;
  }

  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const known = [...ids].filter((id) => this.inner.id_to_token(id) !== undefined);
    const wanted = options.skipSpecialTokens === true ? known.filter((id) => !this.isSpecial(id)) : known;
    // The library throws on an empty list.
    return wanted.length === 0 ? "" : this.inner.decode(wanted, { skip_special_tokens: false });
  }

  tokenId(token: string): number | undefined {
    return this.inner.token_to_id(token);
  }

  token(id: number): string | undefined {
    return this.inner.id_to_token(id);
  }

  isSpecial(id: number): boolean {
    return this.added.get(id)?.special === true;
  }

  isAdded(id: number): boolean {
    return this.added.has(id);
  }

  /**
   * The UTF-8 bytes that a token writes, which may be a part of a character; undefined where a vocabulary that is not
   * byte-level has no bytes for it by itself.
   */
  bytes(id: number): Uint8Array | undefined {
    const token = this.inner.id_to_token(id);
    if (token !== undefined && this.byteLevel && !this.isAdded(id)) return tokenBytes(token);
    const text = this.decode([id]);
    return text.includes("\uFFFD") ? undefined : new TextEncoder().encode(text);
  }

  get eosTokenId(): number | undefined {
    return this.idOf(this.config.eos_token);
  }

  get padTokenId(): number | undefined {
    return this.idOf(this.config.pad_token);
  }

  get bosTokenId(): number | undefined {
    return this.idOf(this.config.bos_token);
  }

  /** Decodes token by token, for text that is shown while it grows. */
  stream(options: DecodeOptions = {}): StreamDecoder {
    return new StreamDecoder(this, this.byteLevel, options.skipSpecialTokens === true);
  }

  private idOf(token: string | null | undefined): number | undefined {
    return typeof token === "string" ? this.tokenId(token) : undefined;
  }
}

/** Snapshots without tokenizer.json are from before 2023; every published Qwen2-VL and Qwen2.5-VL has one. */
function noTokenizer(directory: string): VlmR1Error {
  if (!existsSync(directory)) {
    return new VlmR1Error("ERR_NOT_FOUND", `there is no folder ${directory}`, {
      hint: "A model is a Hugging Face folder: config.json, tokenizer.json and model.safetensors.",
    });
  }
  if (!existsSync(join(directory, "vocab.json"))) {
    return new VlmR1Error("ERR_TOKENIZER", `${directory} has no tokenizer.json`, {
      hint: "Fetch the model's folder again, with all of its files.",
    });
  }
  return new VlmR1Error("ERR_TOKENIZER", `${directory} has vocab.json and merges.txt, but no tokenizer.json`, {
    hint: "Fetch tokenizer.json from where the model was published, or have transformers write it: AutoTokenizer.from_pretrained(folder).save_pretrained(folder).",
  });
}

function isByteLevel(file: z.output<typeof TokenizerFile>): boolean {
  return file.decoder?.type === "ByteLevel";
}
