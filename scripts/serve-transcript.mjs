// Starts a server on the food starter and prints a session of OpenAI's official client with it, as docs/serve.md shows
// it. Usage: node scripts/serve-transcript.mjs [MODEL]
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { serve } from "../dist/index.js";

const path = (name) => fileURLToPath(new URL(`../examples/food/${name}`, import.meta.url));
const say = (text) => process.stdout.write(`${text}\n`);

const server = await serve({ model: process.argv[2] ?? path("starter"), port: 0, imageFolder: path("images") });
try {
  const client = new OpenAI({ baseURL: server.url, apiKey: "none" });
  const { model } = server;
  for await (const { id } of client.models.list()) say(`model: ${id}`);

  const sent = `data:image/png;base64,${(await readFile(path("images/fluent-flat/pizza.png"))).toString("base64")}`;
  const question = (url, text) => [
    {
      role: "user",
      content: [
        { type: "image_url", image_url: { url } },
        { type: "text", text },
      ],
    },
  ];

  say("\n# a picture, sent along");
  const messages = question(sent, "What food is this? How many kcal per 100 g?");
  const whole = await client.chat.completions.create({ model, messages, temperature: 0, logprobs: true });
  const [choice] = whole.choices;
  say(`${choice.message.content} (${choice.finish_reason})`);
  const sum = choice.logprobs.content.reduce((total, { logprob }) => total + logprob, 0);
  say(`${whole.usage.prompt_tokens} + ${whole.usage.completion_tokens} tokens, log-probability ${sum.toFixed(2)}`);

  say("\n# a picture of --image-folder, streamed");
  const asked = question("fluent-flat/avocado.png", "这是什么食物？每100克多少千卡？");
  const stream = await client.chat.completions.create({ model, messages: asked, temperature: 0, stream: true });
  const pieces = [];
  for await (const { choices } of stream) if (choices[0]?.delta.content) pieces.push(choices[0].delta.content);
  say(pieces.join(""));

  say("\n# three samples up to a stop string, the same for the same seed");
  const sampling = { n: 3, seed: 7, temperature: 1.5, stop: ["</think>"] };
  const { choices } = await client.chat.completions.create({ model, messages, ...sampling });
  for (const { message } of choices) say(message.content);

  say("\n# what is refused");
  const refused = { model, messages: question("../../README.md", "?") };
  say(await client.chat.completions.create(refused).catch(({ message }) => message));
  const tools = { model, messages, tools: [{ type: "function", function: { name: "f" } }] };
  say(await client.chat.completions.create(tools).catch(({ message }) => message));
} finally {
  await server.close();
}
