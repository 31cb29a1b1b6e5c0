import { z } from "zod";
import { VlmR1Error } from "../errors/index.js";
import { readJson } from "./json-file.js";

const Triple = z.array(z.number()).length(3);

/** Qwen's processors read the edges as numbers of pixels, of an area: `min_pixels` and `max_pixels` by older names. */
const Size = z.looseObject({ shortest_edge: z.int().min(1).nullish(), longest_edge: z.int().min(1).nullish() });

const ImageProcessorFields = z.looseObject({
  do_resize: z.boolean().nullish(),
  do_rescale: z.boolean().nullish(),
  do_normalize: z.boolean().nullish(),
  image_mean: Triple.nullish(),
  image_std: Triple.nullish(),
  rescale_factor: z.number().nullish(),
  resample: z.int().nullish(),
  patch_size: z.int().min(1).nullish(),
  temporal_patch_size: z.int().min(1).nullish(),
  merge_size: z.int().min(1).nullish(),
  min_pixels: z.int().min(1).nullish(),
  max_pixels: z.int().min(1).nullish(),
  size: Size.nullish(),
});

/** transformers 5 puts the image processor's settings into one file with the others, and reads them there first. */
const ProcessorFile = z.looseObject({ image_processor: ImageProcessorFields.optional() });

type Fields = z.output<typeof ImageProcessorFields>;

const ModelFile = z.looseObject({
  vision_config: z
    .looseObject({
      patch_size: z.int().min(1).optional(),
      temporal_patch_size: z.int().min(1).optional(),
      spatial_merge_size: z.int().min(1).optional(),
    })
    .optional(),
});

/** How pictures become pixel values. */
export interface ImageSettings {
  minPixels: number;
  maxPixels: number;
  patchSize: number;
  temporalPatchSize: number;
  mergeSize: number;
  mean: number[];
  std: number[];
  rescaleFactor: number;
}

const CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073];
const CLIP_STD = [0.26862954, 0.26130258, 0.27577711];
const BICUBIC = 3;
/** Of Qwen2-VL's image processor. */
export const DEFAULT_PIXELS = { minPixels: 56 * 56, maxPixels: 28 * 28 * 1280 };
const DEFAULT_SIZE = { shortest_edge: DEFAULT_PIXELS.minPixels, longest_edge: DEFAULT_PIXELS.maxPixels };

/** Settings of a model's folder, with Qwen2-VL's defaults for what it leaves out. */
export async function loadImageSettings(directory: string): Promise<ImageSettings> {
  const fields =
    (await readJson(directory, "processor_config.json", ProcessorFile))?.image_processor ??
    (await readJson(directory, "preprocessor_config.json", ImageProcessorFields)) ??
    {};
  const vision = (await readJson(directory, "config.json", ModelFile))?.vision_config ?? {};
  if (fields.do_resize === false || (fields.resample ?? BICUBIC) !== BICUBIC) {
    throw new VlmR1Error("ERR_MODEL", `${directory}: its image processor does not resize bicubically`, {
      hint: "Only do_resize: true with resample: 3 (bicubic) is supported; change preprocessor_config.json.",
    });
  }
  const plain = fields.do_normalize === false;
  return {
    ...pixelLimits(fields, directory),
    patchSize: fields.patch_size ?? vision.patch_size ?? 14,
    temporalPatchSize: fields.temporal_patch_size ?? vision.temporal_patch_size ?? 2,
    mergeSize: fields.merge_size ?? vision.spatial_merge_size ?? 2,
    mean: plain ? [0, 0, 0] : (fields.image_mean ?? CLIP_MEAN),
    std: plain ? [1, 1, 1] : (fields.image_std ?? CLIP_STD),
    rescaleFactor: fields.do_rescale === false ? 1 : (fields.rescale_factor ?? 1 / 255),
  };
}

/** `min_pixels` and `max_pixels` win over `size`, each by itself; a `size` must then hold both edges, and no others. */
function pixelLimits(fields: Fields, directory: string): { minPixels: number; maxPixels: number } {
  const size = fields.size ?? DEFAULT_SIZE;
  const minPixels = fields.min_pixels ?? size.shortest_edge;
  const maxPixels = fields.max_pixels ?? size.longest_edge;
  const known = new Set(Object.keys(DEFAULT_SIZE));
  const other = Object.entries(size).filter(([name, value]) => value != null && !known.has(name));
  if (minPixels == null || maxPixels == null || other.length > 0) {
    const got = JSON.stringify(size);
    throw new VlmR1Error("ERR_MODEL", `${directory}: "size" of its image processor: expected both edges, got ${got}`, {
      hint: 'Qwen\'s processors know {"shortest_edge": least pixels, "longest_edge": most pixels} alone.',
    });
  }
  return { minPixels, maxPixels };
}
