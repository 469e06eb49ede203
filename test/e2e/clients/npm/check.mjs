// Calls that each client makes of a server: node check.mjs BASE_URL API_KEY MODEL
import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatOpenAI } from '@langchain/openai';
import { generateObject, generateText, streamText, tool } from 'ai';
import { z } from 'zod';

const [baseURL, apiKey, model] = process.argv.slice(2);
const prompt = 'Say hello.';
const weather = z.object({ city: z.string().max(12), warm: z.boolean() });
const compatible = createOpenAICompatible({ name: 'penstock', baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true });
const openai = createOpenAI({ baseURL, apiKey });

const checks = {
  async 'ai, openai-compatible: text and stream'() {
    const { text, usage } = await generateText({ model: compatible(model), prompt, maxOutputTokens: 8, maxRetries: 0 });
    assert.ok(text !== '' && usage.outputTokens <= 8);
    let streamed = '';
    for await (const part of streamText({ model: compatible(model), prompt, maxOutputTokens: 8, maxRetries: 0 }).textStream)
      streamed += part;
    assert.ok(streamed !== '');
  },
  async 'ai, openai (Responses): text, stream, and the next turn by reference'() {
    const first = await generateText({ model: openai(model), prompt, maxOutputTokens: 8, maxRetries: 0 });
    assert.ok(first.text !== '');
    const messages = [{ role: 'user', content: prompt }, ...first.response.messages, { role: 'user', content: 'Again.' }];
    const second = await generateText({ model: openai(model), messages, maxOutputTokens: 8, maxRetries: 0 });
    assert.ok(second.usage.inputTokens > first.usage.inputTokens);
    let streamed = '';
    for await (const part of streamText({ model: openai(model), prompt, maxOutputTokens: 8, maxRetries: 0 }).textStream) streamed += part;
    assert.ok(streamed !== '');
  },
  async 'ai: objects by a schema'() {
    for (const provider of [compatible, openai]) {
      const { object } = await generateObject({
        model: provider(model),
        schema: weather,
        prompt: 'Is Rome warm?',
        maxOutputTokens: 64,
        maxRetries: 0,
      });
      assert.equal(typeof object.warm, 'boolean');
    }
  },
  async 'ai: a tool that must be called'() {
    for (const provider of [compatible, openai]) {
      const { toolCalls } = await generateText({
        model: provider(model),
        prompt: 'Weather in Rome?',
        tools: { weather: tool({ description: 'Tells the weather', inputSchema: weather }) },
        toolChoice: { type: 'tool', toolName: 'weather' },
        maxOutputTokens: 64,
        maxRetries: 0,
      });
      assert.equal(toolCalls[0]?.toolName, 'weather');
    }
  },
  async 'langchain: chat and Responses'() {
    for (const useResponsesApi of [false, true]) {
      const chat = new ChatOpenAI({ model, apiKey, maxTokens: 8, maxRetries: 0, useResponsesApi, configuration: { baseURL } });
      assert.ok((await chat.invoke(prompt)).text !== '');
      let streamed = '';
      for await (const chunk of await chat.stream(prompt)) streamed += chunk.text;
      assert.ok(streamed !== '');
    }
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    process.stdout.write(`ok    ${name}\n`);
  } catch (error) {
    failed += 1;
    process.stdout.write(`FAIL  ${name}\n${error?.stack ?? error}\n${error?.responseBody ?? ''}\n`);
  }
}
process.exit(failed === 0 ? 0 : 1);
