import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CompletionAnswer, InvocationErrorBody } from '../../../../models/invocation.ts';
import { startTinyContainer, type TinyContainer } from '../../../support/tiny-container.ts';

/** A random model at high temperature: what it writes is valid because of the mask alone. */
const RANDOM = { prompt: [257, 72, 101], temperature: 2, max_tokens: 240, return_token_ids: true };

describe('structured outputs', () => {
  let container: TinyContainer;
  beforeAll(async () => {
    container = await startTinyContainer();
  });
  afterAll(() => container[Symbol.asyncDispose]());

  const complete = async (body: object) => {
    const response = await container.invoke({ ...RANDOM, ...body });
    return { status: response.status, answer: (await response.json()) as CompletionAnswer & InvocationErrorBody }; // either, by the status
  };
  /** Texts of finished answers over several seeds. */
  const texts = async (body: object, seeds = 6): Promise<string[]> => {
    const answers = await Promise.all(Array.from({ length: seeds }, (_, seed) => complete({ ...body, seed })));
    return answers.flatMap(({ answer }) => {
      const [choice] = answer.choices;
      expect(choice?.finish_reason).toMatch(/^(stop|length)$/);
      return choice?.finish_reason === 'stop' ? [choice.text] : [];
    });
  };

  it('writes what the JSON schema says, and ends there', async () => {
    const schema = {
      type: 'object',
      properties: {
        kind: { enum: ['cat', 'dog'] },
        age: { type: 'integer', minimum: 0, maximum: 30 },
        tags: { type: 'array', items: { type: 'boolean' }, minItems: 1, maxItems: 3 },
        code: { type: 'string', pattern: '^[A-Z]{2}[0-9]$' },
        name: { type: 'string', minLength: 1, maxLength: 4 },
      },
      required: ['kind', 'age', 'tags', 'code', 'name'],
    };
    const written = await texts({ structured_outputs: { json: schema } });
    expect(written.length).toBeGreaterThan(3);
    for (const text of written) {
      const value: unknown = JSON.parse(text);
      expect(value).toEqual({
        kind: expect.stringMatching(/^(cat|dog)$/),
        age: expect.any(Number),
        tags: expect.any(Array),
        code: expect.stringMatching(/^[A-Z]{2}[0-9]$/),
        name: expect.any(String),
      });
      const { age, tags, name } = value as { age: number; tags: unknown[]; name: string }; // by the line above
      expect(Number.isInteger(age) && age >= 0 && age <= 30).toBe(true);
      expect(tags.length >= 1 && tags.length <= 3 && tags.every((tag) => typeof tag === 'boolean')).toBe(true);
      // A random model writes bytes that are no UTF-8, and each of them reads as a character.
      if (!name.includes('\ufffd')) expect([...name].length >= 1 && [...name].length <= 4).toBe(true);
    }
  });

  it('keeps strings with patterns and lengths valid JSON', async () => {
    const schema = {
      type: 'object',
      properties: {
        dots: { type: 'string', pattern: '^.{1,8}$' },
        others: { type: 'string', pattern: '^[^a-z]+x$' },
        short: { type: 'string', maxLength: 9 },
      },
      required: ['dots', 'others', 'short'],
    };
    const written = await texts({ structured_outputs: { json: schema } }, 12);
    expect(written.length).toBeGreaterThan(0);
    for (const text of written) expect(JSON.parse(text)).toMatchObject({ others: expect.stringMatching(/^[^a-z]+x$/) });
  });

  it('follows references, alternatives and nested objects', async () => {
    const schema = {
      $defs: { point: { type: 'object', properties: { x: { type: 'integer' }, y: { type: ['integer', 'null'] } }, required: ['x', 'y'] } },
      anyOf: [{ $ref: '#/$defs/point' }, { const: 'nowhere' }],
    };
    for (const text of await texts({ response_format: { type: 'json_schema', json_schema: { name: 'place', schema } } })) {
      const value: unknown = JSON.parse(text);
      if (value !== 'nowhere') expect(Object.keys(value as object)).toEqual(['x', 'y']);
    }
  });

  it('writes an object for json_object', async () => {
    for (const body of [{ structured_outputs: { json_object: true } }, { response_format: { type: 'json_object' } }]) {
      for (const text of await texts(body, 4)) expect(JSON.parse(text)).toBeTypeOf('object');
    }
  });

  it('matches a regex and chooses among choices, also in streams of several choices', async () => {
    for (const text of await texts({ structured_outputs: { regex: '[a-c]{2,4}-[0-9]+' } })) expect(text).toMatch(/^[a-c]{2,4}-[0-9]+$/);
    const choice = ['positive', 'negative', 'it "depends"\n'];
    for (const text of await texts({ structured_outputs: { choice } })) expect(choice).toContain(text);
    const { answer } = await complete({ structured_outputs: { choice }, n: 3, seed: 1 });
    for (const { text } of answer.choices) expect(choice).toContain(text);
  });

  it('enforces an EBNF grammar', async () => {
    for (const text of await texts({ structured_outputs: { grammar: 'root ::= "a" root "b" | "c"' } })) expect(text).toMatch(/^a*cb*$/);
  });

  it('enforces a call of one of several tools inside tags', async () => {
    const tag = (name: string, schema: object) => ({
      type: 'tag',
      begin: `<call>{"name": "${name}", "arguments": `,
      content: { type: 'json_schema', json_schema: schema },
      end: '}</call>',
    });
    const format = {
      type: 'triggered_tags',
      triggers: ['<call>'],
      tags: [
        tag('add', { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] }),
        tag('stop', { type: 'object', properties: {} }),
      ],
      at_least_one: true,
    };
    const tagged = { ...format, stop_after_first: true };
    for (const text of await texts({ structured_outputs: { structural_tag: { type: 'structural_tag', format: tagged } } })) {
      expect(text).toMatch(/^(<call>\{"name": "(add|stop)", "arguments": \{.*?\}\}<\/call>)+$/s);
    }
  });

  it('never writes a control token inside a grammar, and reports a cut as a cut', async () => {
    const { answer } = await complete({ structured_outputs: { regex: '[<|a-z_>]{200}' }, max_tokens: 40 });
    const [choice] = answer.choices;
    expect(choice).toMatchObject({ finish_reason: 'length' });
    expect(choice?.token_ids?.some((id) => id >= 256 && id <= 258)).toBe(false);
  });

  it.each([
    ['a keyword that nothing enforces', { json: { type: 'object', not: { type: 'string' } } }, /keyword that cannot be enforced: not\./],
    ['a keyword deep inside', { json: { type: 'array', items: { type: 'integer', multipleOf: 3 } } }, /multipleOf/],
    ['a type that nobody knows', { json: { type: 'colour' } }, /cannot be enforced/],
    ['a reference to nothing', { json: { $ref: '#/$defs/nothing' } }, /cannot be enforced/],
    ['keywords that exclude each other', { json: { anyOf: [{ type: 'string' }], minLength: 2 } }, /cannot be enforced together/],
    ['a pattern that JSON would have to escape', { json: { type: 'string', pattern: '\\\\S+' } }, /need an escape/],
    ['a broken regex', { regex: '[a-' }, /cannot be enforced/],
    ['a broken grammar', { grammar: 'root ::= ' }, /cannot be enforced/],
    ['two forms at once', { regex: 'a', choice: ['b'] }, /exactly one/],
  ])('refuses %s with 400, and goes on', async (_, outputs, message) => {
    const { status, answer } = await complete({ structured_outputs: outputs });
    expect([status, answer.error.message]).toEqual([400, expect.stringMatching(message)]);
    expect((await texts({ structured_outputs: { choice: ['on'] } }, 1))[0] ?? 'on').toBe('on');
  });

  it('keeps schemas out of messages and logs', async () => {
    const { answer } = await complete({ structured_outputs: { json: { type: 'canary-9d' } } });
    await complete({ structured_outputs: { json: { 'canary-9d': true } } });
    expect(JSON.stringify(answer) + container.logLines.join('')).not.toContain('canary-9d');
  });
});
