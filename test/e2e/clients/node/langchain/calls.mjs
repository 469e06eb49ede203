// Calls of LangChain for JavaScript.
import assert from 'node:assert/strict';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { z } from 'zod';
import { apiKey, baseURL, embedder, model, report } from './report.mjs';

const weather = z.object({ city: z.string().max(12), warm: z.boolean() });
const configuration = { baseURL };
const options = { model, apiKey, maxTokens: 64, temperature: 0, maxRetries: 0, configuration };
const chat = new ChatOpenAI(options);

await report('LangChain (JS)', {
  async chat() {
    assert.ok((await chat.invoke('Say hello.')).text !== '');
  },
  async stream() {
    let text = '';
    for await (const chunk of await chat.stream('Say hello.')) text += chunk.text;
    assert.ok(text !== '');
  },
  async tools() {
    const bound = chat.bindTools([{ name: 'weather', description: 'Tells the weather', schema: weather }], { tool_choice: 'weather' });
    const [call] = (await bound.invoke('Weather in Rome?')).tool_calls;
    assert.equal(call.name, 'weather');
    assert.equal(typeof call.args.warm, 'boolean');
  },
  async 'json-schema'() {
    const answer = await chat.withStructuredOutput(weather, { method: 'jsonSchema', strict: true }).invoke('Is Rome warm?');
    assert.equal(typeof answer.warm, 'boolean');
  },
  async embeddings() {
    const vectors = await new OpenAIEmbeddings({ model: embedder, apiKey, maxRetries: 0, configuration }).embedDocuments([
      'the sea',
      'blue',
    ]);
    assert.ok(vectors.length === 2 && Math.abs(Math.hypot(...vectors[0]) - 1) < 1e-5);
  },
  async responses() {
    const responses = new ChatOpenAI({ ...options, useResponsesApi: true });
    assert.ok((await responses.invoke('Say hello.')).text !== '');
    let text = '';
    for await (const chunk of await responses.stream('Say hello.')) text += chunk.text;
    assert.ok(text !== '');
  },
  async errors() {
    await assert.rejects(new ChatOpenAI({ ...options, model: 'none' }).invoke('Say hello.'), { status: 404 });
  },
});
