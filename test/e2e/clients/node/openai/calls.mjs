// Calls of OpenAI's own client for Node. What it does beyond these is in node.test.ts.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { apiKey, baseURL, embedder, model, report, weatherSchema } from './report.mjs';

const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: 'user', content: 'Is Rome warm?' }];
const tools = [{ type: 'function', function: { name: 'weather', parameters: weatherSchema, strict: true } }];
const options = { model, messages, max_tokens: 64, temperature: 0 };

await report('openai (Node)', {
  async chat() {
    const answer = await client.chat.completions.create(options);
    assert.ok(answer.choices[0].message.content !== '');
    assert.match(answer._request_id, /^req_/);
  },
  async stream() {
    const runner = client.chat.completions.stream({ ...options, stream_options: { include_usage: true } });
    let text = '';
    runner.on('content', (delta) => {
      text += delta;
    });
    const final = await runner.finalChatCompletion();
    assert.equal(final.choices[0].message.content, text);
    assert.ok(final.usage.completion_tokens <= 64);
  },
  async tools() {
    const answer = await client.chat.completions.create({ ...options, tools, tool_choice: 'required' });
    const [call] = answer.choices[0].message.tool_calls;
    assert.equal(typeof JSON.parse(call.function.arguments).warm, 'boolean');
    const result = { role: 'tool', tool_call_id: call.id, content: '30 degrees' };
    const next = await client.chat.completions.create({ ...options, messages: [...messages, answer.choices[0].message, result], tools });
    assert.ok(next.usage.prompt_tokens > answer.usage.prompt_tokens);
  },
  async 'json-schema'() {
    const format = { type: 'json_schema', json_schema: { name: 'weather', schema: weatherSchema, strict: true } };
    const answer = await client.chat.completions.parse({ ...options, response_format: format });
    assert.equal(typeof answer.choices[0].message.parsed.warm, 'boolean');
  },
  async embeddings() {
    // The client asks for base64 and decodes it, unless it is told otherwise.
    const [asBase64, asFloats] = await Promise.all(
      [{}, { encoding_format: 'float' }].map((format) =>
        client.embeddings.create({ model: embedder, input: ['the sea', 'blue'], ...format }),
      ),
    );
    for (const [index, { embedding }] of asBase64.data.entries()) {
      assert.ok(Math.abs(Math.hypot(...embedding) - 1) < 1e-5);
      assert.deepEqual([...new Float32Array(asFloats.data[index].embedding)], [...new Float32Array(embedding)]);
    }
    const cut = await client.embeddings.create({ model: embedder, input: 'the sea', dimensions: 4 });
    assert.equal(cut.data[0].embedding.length, 4);
    assert.ok(Math.abs(Math.hypot(...cut.data[0].embedding) - 1) < 1e-5);
  },
  async responses() {
    const answer = await client.responses.create({ model, input: 'Say hello.', max_output_tokens: 8 });
    assert.equal((await client.responses.retrieve(answer.id)).output_text, answer.output_text);
  },
  async errors() {
    await assert.rejects(client.chat.completions.create({ ...options, model: 'none' }), { status: 404, code: 'model_not_found' });
    await assert.rejects(client.chat.completions.create({ ...options, temperature: 5 }), { status: 400, param: 'temperature' });
    await assert.rejects(new OpenAI({ baseURL, apiKey: 'sk-wrong', maxRetries: 0 }).models.list(), {
      status: 401,
      code: 'invalid_api_key',
    });
  },
  async moderations() {
    const answer = await client.moderations.create({ input: 'A wonderful day.' });
    assert.equal(answer.results[0].flagged, false);
  },
});
