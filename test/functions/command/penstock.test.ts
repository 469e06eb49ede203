import { execFile } from 'node:child_process';
import { serve } from '@hono/node-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TEST_KEY } from '../../support/gateway.ts';
import { createGenerationApp, MODEL, PROMPT } from '../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../support/toy-endpoint.ts';

const file = new URL('../../../functions/command/penstock.ts', import.meta.url).pathname;
let url: string;
let close: () => void;

beforeAll(async () => {
  const changedAt = Date.UTC(2026, 10, 27, 3, 0, 0);
  const controlPlane = { describe: async () => ({ status: 'Updating', copies: { running: 0, wanted: 2 }, changedAt }) };
  const { app } = await createGenerationApp(new ToyEndpoint(), { controlPlane });
  await new Promise<void>((resolve) => {
    const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) => {
      url = `http://127.0.0.1:${port}/v1`;
      resolve();
    });
    close = () => server.close();
  });
});
afterAll(() => close());

function run(args: readonly string[], environment: Record<string, string> = {}): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, PENSTOCK_URL: url, PENSTOCK_API_KEY: TEST_KEY, ...environment };
    execFile(process.execPath, [file, ...args], { env }, (error, out, err) => resolve({ code: Number(error?.code ?? 0), out, err }));
  });
}

describe('npm run penstock', () => {
  it('makes a key with limits, shows its usage, rotates and revokes it', async () => {
    const made = JSON.parse((await run(['keys', 'create', '--name', 'app', '--limit', 'tokens_total=100', '--project', 'web'])).out);
    expect(made).toMatchObject({ name: 'app', project_id: 'web', limits: { tokens_total: 100 }, scopes: ['generate'] });
    const answer = await fetch(`${url}/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${made.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: MODEL, prompt: PROMPT, max_tokens: 4 }),
    });
    expect(answer.status).toBe(200);
    await answer.text();
    expect((await run(['usage', '--by', 'project', '--csv'])).out).toMatch(
      /^project,requests,prompt_tokens,cached_prompt_tokens,completion_tokens,busy_seconds,cost_dollars,own_cost_dollars\r\nweb,1,3,0,4,[\d.]+,0,\r\n$/,
    );
    expect((await run(['keys', 'list'])).out).toContain(made.prefix);
    expect(JSON.parse((await run(['keys', 'update', made.id, '--limit', 'none'])).out).limits).toEqual({});
    expect(JSON.parse((await run(['keys', 'rotate', made.id, '--grace', '0'])).out).key).not.toBe(made.key);
    expect(JSON.parse((await run(['keys', 'revoke', made.id])).out)).toMatchObject({ deleted: true });
    expect(JSON.parse((await run(['limits', 'set', 'project', 'web', '--limit', 'dollars_per_day=2.5'])).out)).toMatchObject({
      limits: { dollars_per_day: 2.5 },
    });
  });

  it('shows what runs behind each model', async () => {
    const [names = '', line = ''] = (await run(['endpoints'])).out.split('\n');
    expect(names).toMatch(/^model +endpoint +component +status +copies +since +in_progress +circuit$/);
    expect(line).toMatch(new RegExp(`^${MODEL} +penstock-gpt +${MODEL} +Updating +0 of 2 +2026-11-27T03:00:00Z +0 +closed$`));
    expect(JSON.parse((await run(['endpoints', '--json'])).out).data[0]).toMatchObject({ copies: { running: 0, wanted: 2 } });
  });

  it('shows keys and usage as tables, and all that is known as JSON', async () => {
    const made = JSON.parse((await run(['keys', 'create', '--name', 'tables', '--limit', 'tokens_per_day=50000'])).out);
    const [names = '', ...lines] = (await run(['keys', 'list'])).out.trimEnd().split('\n');
    expect(names).toMatch(/^id +name +prefix +project +organization +scopes +models +limits$/);
    const line = lines.find((one) => one.startsWith(made.id)) ?? '';
    expect(line).toMatch(/ tables +sk-pen-\S+ +default +default +generate +all +tokens_per_day=50000$/);
    expect(JSON.parse((await run(['keys', 'list', '--json'])).out).data).toContainEqual(expect.objectContaining({ id: made.id }));
    const answer = await fetch(`${url}/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${made.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: MODEL, prompt: PROMPT, max_tokens: 4 }),
    });
    await answer.text();
    const usage = (await run(['usage'])).out.split('\n').find((one) => one.includes(made.id)) ?? '';
    expect(usage).toMatch(new RegExp(`${MODEL} +completed +penstock-gpt/${MODEL} +3 +0 +4 `));
    expect(JSON.parse((await run(['usage', '--json'])).out).data[0]).toHaveProperty('calls');
    expect((await run(['usage', '--from', '2020-01-01', '--to', '2020-01-02'])).out).toBe('Nothing was used in this time.\n');
  });

  it('deletes what is kept of an end user', async () => {
    const answer = await fetch(`${url}/responses`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: MODEL, input: 'x', max_output_tokens: 16, user: 'ada' }),
    });
    const { id } = (await answer.json()) as { id: string };
    expect(JSON.parse((await run(['privacy', 'delete', '--user', 'ada'])).out)).toMatchObject({ generations: 1, responses: 1 });
    const again = await fetch(`${url}/responses/${id}`, { headers: { authorization: `Bearer ${TEST_KEY}` } });
    expect(again.status).toBe(404);
  });

  it.each(['keys', 'limits', 'usage', 'privacy', 'safety-policy'])(
    'says of %s how it is used, also when it is not said what to do',
    async (command) => {
      const { out, code } = await run([command, '--help']);
      expect(code).toBe(0);
      expect(out).toContain(`npm run penstock -- ${command}`);
      expect((await run(['--help'])).out).toContain(`  ${command} `);
      if (command === 'usage') return;
      const bare = await run([command]);
      expect(bare.code).toBe(1);
      expect(bare.err).toContain(out);
    },
  );

  it.each([
    [['keys', 'create'], /Missing required parameter: 'name'/],
    [['keys', 'revoke', 'key_none'], /nothing of that id/],
    [['keys', 'create', '--name', 'x', '--limit', 'tokens_total=many'], /NAME=NUMBER/],
    [['keys', 'create', '--name', 'x', '--limit', 'colour=3'], /colour/],
    [['keys', 'rotate'], /id of a key/],
    [['usage', '--from', 'yesterday'], /takes a date/],
    [['privacy', 'delete'], /--user ID/],
    [['keys', 'update', 'key_x'], /Say what to change/],
    [['keys', 'rotate', 'key_x', '--grace', 'long'], /--grace takes a whole number of seconds, not long/],
    [['usage', '--by', 'day,colour'], /--by takes any of day,model,api_key,project, not colour/],
    [['keys', 'delete'], /npm run penstock -- keys --help/],
    [['frobnicate'], /no command/],
    [['keys', '--colour'], /--help/],
  ])('says what is wrong with %j in one sentence', async (args, sentence) => {
    const { code, err } = await run(args);
    expect(code).toBe(1);
    expect(err).toMatch(sentence);
    expect(err).not.toContain('    at ');
  });

  it('says that no gateway answers, and that a key is missing for another machine', async () => {
    expect((await run(['keys', 'list'], { PENSTOCK_URL: 'http://127.0.0.1:1/v1' })).err).toMatch(/npm start/);
    expect((await run(['keys', 'list'], { PENSTOCK_URL: 'https://api.example/v1', PENSTOCK_API_KEY: '' })).err).toMatch(/scope admin/);
  });
});
