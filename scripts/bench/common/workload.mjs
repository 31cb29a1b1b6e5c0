import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { temporaryFolder } from "./clean-up.mjs";
import { makeModel } from "./models.mjs";

/** 48 tokens with the chat template around it, picture aside. */
const QUESTION = "What is this food called? How many kcal are in 100 g? Think first, then answer.";

/**
 * A folder with all that a step needs: model, pictures, and workload.json, which says what is to be done with them.
 * `settings`: preset, prompts, generations, completion, picture, threads; tokens, where prompts are to have so many.
 */
export async function makeWorkload(settings) {
  const { folder, remove } = await temporaryFolder();
  try {
    return { ...(await fill(folder, settings)), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function fill(folder, settings) {
  const model = join(folder, "model");
  await mkdir(model);
  const { config, parameters } = await makeModel(settings.preset, model);
  const pictures = [];
  for (let i = 0; i < settings.prompts; i++) pictures.push(await makePicture(folder, i, settings.picture));
  const workload = {
    ...settings,
    model,
    parameters,
    pictures,
    question: QUESTION,
    rewards: rewardsOf(settings.generations),
    learningRate: 1e-6,
    maxGradNorm: 1,
  };
  const file = join(folder, "workload.json");
  await writeFile(file, JSON.stringify(workload, null, 2));
  return { ...workload, config, file };
}

const rewardsOf = (generations) => Array.from({ length: generations }, (_, i) => ((i * 5) % 8) / 8);

/** The same model and pictures with other completions or another prompt length. */
export function withShape(workload, { generations, tokens, completion }) {
  return { ...workload, generations, tokens, completion, rewards: rewardsOf(generations) };
}

/** Smooth colours and a little noise, so that it is neither flat nor only noise; the same bytes in every run. */
async function makePicture(folder, seed, size) {
  const rgb = Buffer.alloc(size * size * 3);
  let state = seed + 1;
  for (let i = 0; i < rgb.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const pixel = Math.floor(i / 3);
    const wave = Math.sin((pixel % size) / (17 + seed) + i) + Math.cos(Math.floor(pixel / size) / (23 - seed));
    rgb[i] = Math.round(128 + 50 * wave + ((state >>> 24) / 255) * 20);
  }
  const file = join(folder, `picture-${seed}.png`);
  await sharp(rgb, { raw: { width: size, height: size, channels: 3 } })
    .png()
    .toFile(file);
  return file;
}
