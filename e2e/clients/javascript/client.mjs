// Does one thing with the official client: `node client.mjs NAME`. Standard input holds the base
// URL, the API key, the client's options and the request; standard output gets the result.

import { readFileSync } from "node:fs";
import OpenAI from "openai";

const { url, key, options, request } = JSON.parse(readFileSync(0, "utf8"));
const { timeout, ...others } = options;
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, timeout: timeout * 1000, ...others });

const uses = {
  async chat() {
    const answer = await client.chat.completions.create(request);
    return { text: answer.choices[0].message.content, tokens: answer.usage.completion_tokens };
  },
  async stream() {
    const pieces = [];
    let tokens = null;
    const stream = await client.chat.completions.create({ ...request, stream: true });
    for await (const chunk of stream) {
      for (const choice of chunk.choices) if (choice.delta.content) pieces.push(choice.delta.content);
      tokens = chunk.usage?.completion_tokens ?? tokens;
    }
    return { pieces: pieces.length, text: pieces.join(""), tokens };
  },
  async tools() {
    const answer = await client.chat.completions.create(request);
    return answer.choices[0].message.tool_calls.map(({ function: called }) => ({
      name: called.name,
      arguments: JSON.parse(called.arguments),
    }));
  },
  async structured() {
    const answer = await client.chat.completions.create(request);
    return JSON.parse(answer.choices[0].message.content);
  },
  async responses() {
    return { text: (await client.responses.create(request)).output_text };
  },
  async events() {
    const types = [];
    const stream = await client.responses.create({ ...request, stream: true });
    for await (const event of stream) types.push(event.type);
    return types;
  },
  async embeddings() {
    const answer = await client.embeddings.create(request);
    return answer.data.map(({ embedding }) => embedding.slice(0, 4));
  },
  async list() {
    const found = [];
    for await (const model of client.models.list()) found.push(model.id);
    return found.sort();
  },
  async retrieve() {
    return (await client.models.retrieve(request.model)).id;
  },
};

let result;
try {
  result = { value: await uses[process.argv[2]]() };
} catch (error) {
  const { status = null, code = null } = error;
  const kind = error.constructor.name.replace("ConnectionTimeout", "Timeout");
  const wait = error.headers?.get("retry-after") ?? null;
  result = { error: { kind, status, code, wait } };
}
process.stdout.write(JSON.stringify(result));
