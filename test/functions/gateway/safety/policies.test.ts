import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMemoryTable } from '../../../../functions/drivers/memory-table.ts';
import { parseSafetyPolicy } from '../../../../layers/safety/index.ts';
import { createGenerationGateway } from '../../../support/generation-gateway.ts';
import { type SafetyStack, startSafetyStack } from '../../../support/safety-stack.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const redacting = { pii: { input: 'redact', output: 'redact' } };
const EMAIL = 'anna.smith@example.com';
let folder: string;
let policyFile: string;
let stack: SafetyStack;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'penstock-policies-'));
  policyFile = join(folder, 'policy.json');
  await writeFile(policyFile, JSON.stringify({ pii: { input: 'flag', output: 'redact' } }));
  stack = await startSafetyStack({ PENSTOCK_SAFETY_POLICY: policyFile });
  stack.says(`Write to ${EMAIL}.`);
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function keyOf(project: string, organization: string): Promise<string> {
  const body = { name: 'test', project_id: project, organization_id: organization };
  return ((await (await stack.call('POST', '/v1/admin/api_keys', body)).json()) as { key: string }).key;
}

async function answer(key?: string, content = 'Who?', status = 200): Promise<string> {
  const response = await stack.call('POST', '/v1/chat/completions', { model: 'chat', messages: [{ role: 'user', content }] }, key);
  expect(response.status).toBe(status);
  const { choices, error } = (await response.json()) as Partial<OpenAI.ChatCompletion> & { error?: { code: string } };
  return choices?.[0]?.message.content ?? error?.code ?? '';
}

describe('safety policies by tenant', () => {
  it("are the file's, the table's, the organisation's, the project's: the nearest holds, at once", async () => {
    const key = await keyOf('web', 'acme');
    const other = await keyOf('lab', 'acme');
    expect(await answer(key)).toBe('Write to [EMAIL].');
    await stack.setPolicy({ pii: { input: 'flag', output: 'flag' } }, '');
    expect(await answer(key)).toBe(`Write to ${EMAIL}.`);
    await stack.setPolicy(redacting, 'organizations/acme');
    expect(await answer(key)).toBe('Write to [EMAIL].');
    await stack.setPolicy({}, 'projects/web');
    expect(await answer(key)).toBe(`Write to ${EMAIL}.`);
    expect(await answer(other)).toBe('Write to [EMAIL].');
    for (const owner of ['projects/web/', 'organizations/acme/', '']) {
      expect((await stack.call('DELETE', `/v1/admin/${owner}safety_policy`)).status).toBe(200);
      expect((await stack.call('DELETE', `/v1/admin/${owner}safety_policy`)).status).toBe(404);
      expect((await stack.call('GET', `/v1/admin/${owner}safety_policy`)).status).toBe(404);
    }
    expect(await answer(key)).toBe('Write to [EMAIL].');
  });

  it('cannot be weakened by a project where the organisation pins', async () => {
    const key = await keyOf('free', 'strict');
    await stack.setPolicy({ ...redacting, pinned: ['pii'] }, 'organizations/strict');
    await stack.setPolicy({ dryRun: true, pii: { input: 'allow', output: 'allow' } }, 'projects/free');
    expect(await answer(key)).toBe('Write to [EMAIL].');
    await stack.setPolicy({ pii: { input: 'block', output: 'allow' } }, 'projects/free');
    expect(await answer(key, `I am ${EMAIL}`, 400)).toBe('content_policy_violation');
  });

  it('are named in the ledger, and what they were can be read again', async () => {
    const policy = { ...redacting, denylists: { brand: { input: 'flag', output: 'flag', entries: ['falcon'] } } };
    await stack.setPolicy(policy);
    await answer(undefined, `I am ${EMAIL}. Is it Falcon?`);
    const stored = (await (await stack.call('GET', '/v1/admin/projects/default/safety_policy')).json()) as { digest: string };
    expect(stored.digest).toBe(parseSafetyPolicy(policy).digest);
    const line = (await stack.usage()).at(-1);
    const text = JSON.stringify(line);
    expect(text).toContain(stored.digest);
    expect(text).toContain('denylist:brand');
    expect(text).not.toMatch(/anna|falcon/i);
    const version = await stack.call('GET', `/v1/admin/safety_policies/${stored.digest}`);
    expect(await version.json()).toMatchObject({ digest: stored.digest, policy: { denylists: { brand: { entries: ['falcon'] } } } });
    expect((await stack.call('GET', `/v1/admin/safety_policies/${'0'.repeat(64)}`)).status).toBe(404);
    await stack.call('DELETE', '/v1/admin/projects/default/safety_policy');
  });

  it('only report in a dry run', async () => {
    await stack.setPolicy({ dryRun: true, pii: { input: 'block', output: 'block' }, secrets: { input: 'mask', output: 'block' } });
    expect(await answer(undefined, `I am ${EMAIL}, key AKIAIOSFODNN7EXAMPLE`)).toBe(`Write to ${EMAIL}.`);
    expect(stack.prompts().at(-1)).toContain(`I am ${EMAIL}, key AKIAIOSFODNN7EXAMPLE`);
    expect(JSON.stringify((await stack.usage()).at(-1))).toMatch(/"dry_?run":true/i);
    await stack.call('DELETE', '/v1/admin/projects/default/safety_policy');
  });

  it('tell beforehand what they would do, by the moderations endpoint', async () => {
    const policy = { dryRun: true, denylists: { brand: { input: 'block', output: 'allow', entries: ['falcon'] } } };
    await stack.setPolicy(policy);
    const moderate = async (input: string) =>
      ((await (await stack.call('POST', '/v1/moderations', { input })).json()) as { results: { policy?: object }[] }).results[0]?.policy;
    const { digest } = parseSafetyPolicy(policy);
    expect(await moderate('It is Falcon.')).toEqual({ digest, action: 'block', dry_run: true });
    expect(await moderate('It is nothing.')).toEqual({ digest, action: 'allow', dry_run: true });
    await stack.call('DELETE', '/v1/admin/projects/default/safety_policy');
  });

  it.each([
    ['an action that is none', { pii: { input: 'explode', output: 'flag' } }, 'pii.input'],
    ['masking of what comes from a model', { pii: { input: 'flag', output: 'mask' } }, 'pii.output'],
    ['redaction of a category', { categories: { hate: { input: 'redact', output: 'flag' } } }, 'categories.hate.input'],
    ['a threshold above 1', { categories: { hate: { input: 'flag', output: 'flag', threshold: 2 } } }, 'categories.hate.threshold'],
    ['an entry that nobody can see', { denylists: { a: { input: 'flag', output: 'flag', entries: ['\u200b'] } } }, 'denylists.a.entries.0'],
    ['a part that is none', { pinned: ['weather'] }, 'pinned.0'],
    ['a field that is none', { pi: {} }, 'pi'],
    ['a country that is none', { phoneCountries: ['XX'] }, 'phoneCountries.0'],
    [
      'too long denylists',
      { denylists: { a: { input: 'flag', output: 'flag', entries: Array.from({ length: 4_000 }, (_, n) => `${n}`.padEnd(90, 'x')) } } },
      'denylists',
    ],
  ])('are refused with the field at fault: %s', async (_, policy, param) => {
    const response = await stack.call('PUT', '/v1/admin/projects/web/safety_policy', policy);
    expect(response.status).toBe(400);
    expect(((await response.json()) as { error: { param: string } }).error.param).toBe(param);
  });

  it('are for administrators, and for names that can be', async () => {
    const key = await keyOf('web', 'acme');
    expect((await stack.call('PUT', '/v1/admin/projects/web/safety_policy', {}, key)).status).toBe(403);
    expect((await stack.call('PUT', `/v1/admin/projects/${'x'.repeat(65)}/safety_policy`, {})).status).toBe(404);
  });
});

describe('a denylist', () => {
  it("is the tenant's own, replaced while the gateway runs, and holds back no more than a word may need", async () => {
    const block = (...entries: string[]) => ({ denylists: { brand: { input: 'allow', output: 'redact', entries } } });
    const key = await keyOf('words', 'words');
    stack.says('We call it Project Falcon, and project falconry is something else.');
    await stack.setPolicy(block('project falcon'), 'projects/words');
    expect(await answer(key)).toBe('We call it [DENYLIST], and project falconry is something else.');
    const client = new OpenAI({ baseURL: stack.client.baseURL, apiKey: key, maxRetries: 0 });
    const stream = await client.chat.completions.create({ model: 'chat', messages: [{ role: 'user', content: 'Who?' }], stream: true });
    const deltas: string[] = [];
    for await (const chunk of stream) deltas.push(chunk.choices[0]?.delta.content ?? '');
    expect(deltas.join('')).toBe('We call it [DENYLIST], and project falconry is something else.');
    // What cannot begin a word of the list is out at once: the answer comes in many pieces.
    expect(deltas.filter((delta) => delta !== '').length).toBeGreaterThan(6);
    await stack.setPolicy(block('something else'), 'projects/words');
    expect(await answer(key)).toBe('We call it Project Falcon, and project falconry is [DENYLIST].');
    await stack.setPolicy(block(), 'projects/words');
    expect(await answer(key)).toBe('We call it Project Falcon, and project falconry is something else.');
    stack.says(`Write to ${EMAIL}.`);
  });
});

describe('a policy in a file', () => {
  it('is read again when it changes, and stays as it was while it cannot be read', async () => {
    expect(await answer()).toBe('Write to [EMAIL].');
    const until = async (text: string) => {
      await expect.poll(() => answer(), { timeout: 10_000, interval: 200 }).toBe(text);
    };
    await writeFile(policyFile, JSON.stringify({ pii: { input: 'flag', output: 'flag' } }));
    await until(`Write to ${EMAIL}.`);
    await writeFile(policyFile, '{ "pii": ');
    const isTold = async () => {
      await answer();
      return stack.logged.some(({ event }) => event === 'safety-policy-unusable');
    };
    await expect.poll(isTold, { timeout: 10_000 }).toBe(true);
    expect(await answer()).toBe(`Write to ${EMAIL}.`);
    await writeFile(policyFile, JSON.stringify(redacting));
    await until('Write to [EMAIL].');
  });
});

describe('two processes over one table', () => {
  it('have the same policy within seconds', async () => {
    let nowMs = Date.now();
    const clock = { now: () => nowMs };
    const table = createMemoryTable(clock);
    const [one, other] = await Promise.all([0, 1].map(() => createGenerationGateway(new ToyEndpoint(), { table, clock })));
    const blocks = async () => {
      const body = { model: 'smollm2-135m-instruct', prompt: `I am ${EMAIL}`, max_tokens: 2 };
      return (await other?.call('POST', '/v1/completions', { body }))?.status === 400;
    };
    expect(await blocks()).toBe(false);
    await one?.call('PUT', '/v1/admin/organizations/default/safety_policy', { body: { pii: { input: 'block', output: 'flag' } } });
    expect(await blocks()).toBe(false);
    nowMs += 5_000;
    expect(await blocks()).toBe(true);
  });
});
