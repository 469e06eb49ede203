import { describe, expect, it } from 'vitest';
import { judgeAnswer } from './openai-answers.ts';

/** OpenAI's own example of the document, with what the document requires of it. */
const completion = {
  id: 'chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT',
  object: 'chat.completion',
  created: 1_741_569_952,
  model: 'gpt-5.4',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'Hello! How can I assist you today?', refusal: null, annotations: [] },
      logprobs: null,
      finish_reason: 'stop',
    },
  ],
};
const chat = { method: 'POST', path: '/v1/chat/completions', status: 200, contentType: 'application/json' };
const judge = (value: unknown, rest: object = {}) => judgeAnswer({ ...chat, body: JSON.stringify(value), ...rest });

describe('holding answers against OpenAI’s document', () => {
  it('passes what is right, and finds each field that is missing', () => {
    expect(judge(completion)).toEqual({ judged: 1, problems: [] });
    for (const name of Object.keys(completion)) {
      const { problems } = judge({ ...completion, [name]: undefined });
      expect(problems.join(), name).toContain(name);
    }
    const [choice] = completion.choices;
    const incomplete = { ...choice, message: { role: 'assistant', content: '' } };
    expect(judge({ ...completion, choices: [incomplete] }).problems.join()).toContain('refusal');
  });

  it('judges each event of a stream, and errors by all four fields', () => {
    const chunk = {
      ...completion,
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta: { content: 'Hi' }, logprobs: null, finish_reason: null }],
    };
    const stream = (...values: unknown[]) => values.map((value) => `data: ${JSON.stringify(value)}\n\n`).join('');
    const options = { contentType: 'text/event-stream' };
    expect(judge(undefined, { ...options, body: `${stream(chunk, chunk)}data: [DONE]\n\n` })).toEqual({ judged: 2, problems: [] });
    expect(judge(undefined, { ...options, body: stream(chunk, completion) }).problems).not.toEqual([]);
    const error = { error: { message: 'No.', type: 'server_error', param: null, code: null } };
    expect(judge(error, { status: 500 }).problems).toEqual([]);
    expect(judge({ error: { ...error.error, param: undefined } }, { status: 500 }).problems).not.toEqual([]);
  });
});
