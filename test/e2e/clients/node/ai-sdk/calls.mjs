// Calls of Vercel's AI SDK: through its provider for compatible servers, and through OpenAI's own, which speaks Responses.
import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embedMany, generateObject, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { apiKey, baseURL, embedder, model, report } from './report.mjs';

const weather = z.object({ city: z.string().max(12), warm: z.boolean() });
const compatible = createOpenAICompatible({ name: 'penstock', baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true });
const openai = createOpenAI({ baseURL, apiKey });

function callsOf(provider) {
  const ask = { model: provider(model), prompt: 'Is Rome warm?', maxOutputTokens: 64, maxRetries: 0 };
  return {
    async chat() {
      const { text, usage } = await generateText(ask);
      assert.ok(text !== '' && usage.outputTokens <= 64);
    },
    async stream() {
      const result = streamText({ ...ask, onError: ({ error }) => assert.fail(error) });
      let text = '';
      for await (const part of result.textStream) text += part;
      assert.ok(text !== '' && (await result.usage).outputTokens <= 64);
    },
    async tools() {
      const forecast = tool({ description: 'Tells the weather', inputSchema: weather, execute: async () => '30 degrees' });
      const toolChoice = { type: 'tool', toolName: 'weather' };
      const result = await generateText({ ...ask, tools: { weather: forecast }, toolChoice, stopWhen: stepCountIs(1) });
      assert.equal(result.toolCalls[0]?.toolName, 'weather');
      assert.equal(result.toolResults[0]?.output, '30 degrees');
    },
    async 'json-schema'() {
      const { object } = await generateObject({ ...ask, schema: weather });
      assert.equal(typeof object.warm, 'boolean');
    },
    async embeddings() {
      const { embeddings } = await embedMany({ model: provider.textEmbeddingModel(embedder), values: ['the sea', 'blue'], maxRetries: 0 });
      assert.equal(embeddings.length, 2);
      assert.ok(Math.abs(Math.hypot(...embeddings[0]) - 1) < 1e-5);
    },
    async errors() {
      await assert.rejects(generateText({ ...ask, model: provider('none') }), { name: 'AI_APICallError', statusCode: 404 });
    },
  };
}

await report('AI SDK (compatible)', callsOf(compatible));
const { chat, ...others } = callsOf(openai);
await report('AI SDK (OpenAI)', {
  ...others,
  async responses() {
    await chat();
    const prompt = 'Say hello.';
    const first = await generateText({ model: openai(model), prompt, maxOutputTokens: 8, maxRetries: 0 });
    // The provider sends what was said before by reference.
    const messages = [{ role: 'user', content: prompt }, ...first.response.messages, { role: 'user', content: 'Again.' }];
    const second = await generateText({ model: openai(model), messages, maxOutputTokens: 8, maxRetries: 0 });
    assert.ok(second.usage.inputTokens > first.usage.inputTokens);
  },
});
