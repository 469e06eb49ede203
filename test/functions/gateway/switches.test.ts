import { describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../../functions/gateway/errors.ts';
import type { SettingText } from '../../../functions/gateway/services.ts';
import { createSwitches, switchLog } from '../../../functions/gateway/switches.ts';
import type { ServedModel } from '../../../models/catalog.ts';
import { createGenerationGateway, MODEL, type TestGatewayOptions } from '../../support/generation-gateway.ts';
import { ScriptedEndpoint } from '../../support/scripted-endpoint.ts';
import { loadModelTokenizer, says } from '../../support/scripted-model.ts';

/** Time stands still unless a test says otherwise. */
function createScene(text: string | undefined) {
  const clock = { at: 1_000_000, now: () => clock.at };
  const logged: { level: string; event: string; fields: object }[] = [];
  const log = { write: (level: string, event: string, fields: object = {}) => void logged.push({ level, event, fields }) };
  const setting: SettingText & { text: string | undefined; reads: number; failing: boolean } = {
    text,
    reads: 0,
    failing: false,
    async read() {
      setting.reads += 1;
      if (setting.failing) throw new StoreUnavailableError('the parameter');
      return setting.text;
    },
  };
  const switches = createSwitches(setting, clock, log);
  /** The next reading is due, and done. */
  const later = async (milliseconds = 40_000) => {
    clock.at += milliseconds;
    switches.current();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { clock, logged, log, setting, switches, later };
}

describe('switches', () => {
  it('are all on without a text, and say nothing', async () => {
    const { switches, logged } = createScene(undefined);
    expect(await switches.recent()).toEqual({ modelsOut: [], endpointsOut: [], logLevel: 'info' });
    expect(logged).toEqual([]);
  });

  it('are read at the first look, and again after half a minute, however often they are looked at', async () => {
    const { switches, setting, later } = createScene('{"closed": "Back at 14:00 UTC."}');
    expect((await switches.recent()).closed).toBe('Back at 14:00 UTC.');
    setting.text = '{}';
    for (let looks = 0; looks < 100; looks += 1) switches.current();
    expect(setting.reads).toBe(1);
    await later();
    expect(switches.current().closed).toBeUndefined();
    expect(setting.reads).toBe(2);
  });

  it('never keep anybody waiting who looks within a minute', async () => {
    const { switches, clock } = createScene('{"modelsOut": ["a"]}');
    await switches.recent();
    const endless: SettingText = { read: () => new Promise(() => undefined) };
    const slow = createSwitches(endless, clock, { write: () => undefined });
    expect(slow.current().modelsOut).toEqual([]);
    expect((await slow.recent()).modelsOut).toEqual([]); // waits for a moment, not for ever
    clock.at += 50_000;
    let isDone = false;
    void switches.recent().then(() => {
      isDone = true;
    });
    await Promise.resolve();
    await Promise.resolve();
    expect(isDone).toBe(true);
  });

  it('wait for the text when they have stood still', async () => {
    const { switches, setting, clock } = createScene('{}');
    await switches.recent();
    setting.text = '{"closed": "Later."}';
    clock.at += 61_000;
    expect((await switches.recent()).closed).toBe('Later.');
  });

  it.each([
    ['cannot be read', (setting: { failing: boolean }) => (setting.failing = true), 'StoreUnavailableError'],
    ['is no JSON', (setting: { text: string | undefined }) => (setting.text = '{'), 'SyntaxError'],
    ['has a switch that there is not', (setting: { text: string | undefined }) => (setting.text = '{"modelOut": []}'), 'modelOut'],
    ['has a value that makes no sense', (setting: { text: string | undefined }) => (setting.text = '{"modelsOut": [7]}'), 'modelsOut.0'],
  ])('stay as they are when the text %s, and say so once', async (_, spoil, reason) => {
    const { switches, setting, logged, later } = createScene('{"closed": "Later."}');
    await switches.recent();
    spoil(setting);
    await later();
    await later();
    expect(switches.current().closed).toBe('Later.');
    expect(logged.filter(({ level }) => level === 'error')).toMatchObject([{ event: 'switches-unusable' }]);
    expect(JSON.stringify(logged)).toContain(reason);
    setting.failing = false;
    setting.text = '{}';
    await later();
    expect(switches.current().closed).toBeUndefined();
  });

  it('tell the log how much to write, and no error is lost', async () => {
    const { switches, log, logged } = createScene('{"logLevel": "error"}');
    await switches.recent();
    const quiet = switchLog(log, switches);
    logged.length = 0;
    for (const level of ['info', 'warn', 'error'] as const) quiet.write(level, level);
    expect(logged.map(({ event }) => event)).toEqual(['error']);
  });
});

const tokenizer = await loadModelTokenizer();
const model = () => new ScriptedEndpoint(() => says(tokenizer, 'Hello.'));

async function createGateway(text: string, options: Pick<TestGatewayOptions, 'alternatives'> = {}) {
  const { switches, setting, later } = createScene(text);
  await switches.recent();
  const endpoint = model();
  return { endpoint, setting, later, gateway: await createGenerationGateway(endpoint, { ...options, switches }) };
}

interface WireError {
  readonly error: { readonly code: string; readonly message: string; readonly type: string };
}

describe('a gateway', () => {
  const ask = { model: MODEL, input: 'Hi' };

  it('that is closed makes no new answers, says why, and shows what it has', async () => {
    const { gateway, endpoint, setting, later } = await createGateway('{}');
    const { id } = (await (await gateway.call('POST', '/v1/responses', { body: ask })).json()) as { id: string };
    setting.text = '{"closed": "Maintenance until 14:00 UTC."}';
    await later();
    const bodies = {
      '/v1/chat/completions': { model: MODEL, messages: [{ role: 'user', content: 'Hi' }], stream: true },
      '/v1/completions': { model: MODEL, prompt: 'Hi' },
      '/v1/responses': ask,
      '/v1/classify': { model: MODEL, input: 'Hi', labels: ['a', 'b'] },
    };
    for (const [path, body] of Object.entries(bodies)) {
      const refused = await gateway.call('POST', path, { body });
      expect([path, refused.status]).toEqual([path, 503]);
      expect(refused.headers.get('retry-after')).toBe('60');
      expect(((await refused.json()) as WireError).error).toMatchObject({
        code: 'out_of_service',
        message: 'Maintenance until 14:00 UTC.',
      });
    }
    expect(endpoint.requests).toHaveLength(1);
    expect((await gateway.call('GET', `/v1/responses/${id}`)).status).toBe(200);
    expect((await gateway.call('GET', '/readyz')).status).toBe(200);
    setting.text = '{}';
    await later();
    expect((await gateway.call('POST', '/v1/responses', { body: ask })).status).toBe(200);
  });

  it('takes one model out, and with it nothing else', async () => {
    const { gateway } = await createGateway('{"modelsOut": ["another"]}');
    expect((await gateway.call('POST', '/v1/responses', { body: ask })).status).toBe(200);
    const { gateway: without } = await createGateway(`{"modelsOut": ["${MODEL}"]}`);
    const refused = await without.call('POST', '/v1/responses', { body: ask });
    expect(refused.status).toBe(503);
    expect(((await refused.json()) as WireError).error.message).toContain(MODEL);
    expect((await without.call('POST', '/v1/responses', { body: { ...ask, model: 'nope' } })).status).toBe(404);
  });

  it('holds no tokens for what it refuses', async () => {
    const { gateway, setting, later } = await createGateway('{"closed": "Later."}');
    const { key } = await gateway.createKey({ tokens_total: 100 });
    const body = { ...ask, max_output_tokens: 60 };
    for (let tries = 0; tries < 3; tries += 1) expect((await gateway.call('POST', '/v1/responses', { body, key })).status).toBe(503);
    setting.text = '{}';
    await later();
    expect((await gateway.call('POST', '/v1/responses', { body, key })).status).toBe(200);
  });

  const elsewhere = [{ name: 'penstock-gpt', inferenceComponent: MODEL, region: 'us-west-2' }] satisfies ServedModel['alternatives'];

  it.each([
    ['its own endpoint', '{"endpointsOut": ["penstock-gpt"]}', 'us-west-2'],
    ['one of another region', '{"endpointsOut": ["us-west-2/penstock-gpt"]}', undefined],
    ['all of them, which are then asked as before', '{"endpointsOut": ["penstock-gpt", "us-west-2/penstock-gpt"]}', undefined],
    ['one that there is not', '{"endpointsOut": ["another"]}', undefined],
  ])('takes %s out of the rotation', async (_, text, region) => {
    const { gateway, endpoint } = await createGateway(text, { alternatives: elsewhere });
    for (let requests = 0; requests < 3; requests += 1) expect((await gateway.complete()).status).toBe(200);
    expect(endpoint.requests.map(({ target }) => target.region)).toEqual([region, region, region]);
  });
});
