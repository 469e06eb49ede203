import { describe, expect, it } from 'vitest';
import { createSageMakerEndpoint } from '../../../../functions/drivers/sagemaker-endpoint.ts';
import { createGenerationGateway, MODEL, readStream } from '../../../support/generation-gateway.ts';
import { startTestRuntime } from '../../../support/sagemaker-runtime.ts';
import { startToyContainer } from '../../../support/toy-container.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const alternatives = ['b', 'c', 'd'].map((name) => ({ name, weight: 1 }));

describe('session affinity', () => {
  it('sends the requests of one session to one target, whatever they say and in whatever process', async () => {
    const endpoint = new ToyEndpoint();
    const gateways = await Promise.all([1, 2].map(() => createGenerationGateway(endpoint, { alternatives })));
    const targets = new Map<string, Set<string>>();
    for (let session = 0; session < 24; session += 1) {
      for (let turn = 0; turn < 4; turn += 1) {
        const headers = { 'x-penstock-session': `conversation-${session}` };
        const prompt = [1_000 + turn * 31 + session, 2_000 + turn];
        await gateways[turn % 2]?.complete({ prompt, max_tokens: 2 }, { headers });
        const names = targets.get(`${session}`) ?? new Set();
        targets.set(`${session}`, names.add(endpoint.requests.at(-1)?.target.endpointName ?? ''));
      }
    }
    for (const names of targets.values()) expect(names.size).toBe(1);
    expect(new Set([...targets.values()].flatMap((names) => [...names])).size).toBe(4); // and the sessions to all of them
  });

  it('yields to load: a session does not fill one target while others stand idle', async () => {
    const open = Promise.withResolvers<void>();
    const endpoint = new ToyEndpoint(undefined, () => open.promise);
    const gateway = await createGenerationGateway(endpoint, { alternatives });
    const headers = { 'x-penstock-session': 'the-only-one' };
    const answers = Array.from({ length: 40 }, () => gateway.complete({ max_tokens: 1, stream: true }, { headers }));
    await expect.poll(() => endpoint.requests.length).toBe(40);
    const counts = Map.groupBy(endpoint.requests, (request) => request.target.endpointName);
    expect(Math.max(...[...counts.values()].map((requests) => requests.length))).toBeLessThanOrEqual(Math.ceil((1.25 * 40) / 4));
    open.resolve();
    for (const answer of await Promise.all(answers)) await answer.text();
  });

  it('takes prompt_cache_key and the conversation for a session, and tells endpoints a digest that is each caller’s own', async () => {
    const endpoint = new ToyEndpoint();
    const gateway = await createGenerationGateway(endpoint, { alternatives });
    const { key } = await gateway.createKey();
    const chat = (fields: object, options = {}) =>
      gateway.call('POST', '/v1/chat/completions', {
        body: { model: MODEL, messages: [{ role: 'user', content: 'x' }], max_tokens: 1, ...fields },
        ...options,
      });
    const respond = async (fields: object) => {
      const response = await gateway.call('POST', '/v1/responses', { body: { model: MODEL, input: 'x', max_output_tokens: 1, ...fields } });
      return (await response.json()) as { id: string };
    };
    const named = 'Jane Roe, 12 Main Street';
    const sessions: (string | undefined)[] = [];
    const note = () => sessions.push(endpoint.requests.at(-1)?.sessionId);
    await chat({ prompt_cache_key: named });
    note();
    await chat({ prompt_cache_key: named, messages: [{ role: 'user', content: 'y' }] });
    note();
    await chat({ prompt_cache_key: named }, { key });
    note();
    await chat({});
    note();
    const [one, same, another, none] = sessions;
    expect(one).toMatch(/^[0-9a-f]{32}$/);
    expect(same).toBe(one);
    expect(another).not.toBe(one);
    expect(none).toBeUndefined();
    expect(JSON.stringify(endpoint.requests)).not.toContain('Jane');
    const first = await respond({});
    const second = await respond({ previous_response_id: first.id });
    note();
    await respond({ previous_response_id: second.id });
    note();
    expect(sessions.at(-1)).toBeTypeOf('string');
    expect(sessions.at(-1)).toBe(sessions.at(-2));
    expect((await chat({}, { headers: { 'x-penstock-session': 'ä' } })).status).toBe(400);
    expect((await chat({}, { headers: { 'x-penstock-session': 'x'.repeat(257) } })).status).toBe(400);
  });

  it('names the session to SageMaker by its digest, for prefix-aware routing', async () => {
    await using container = await startToyContainer(0);
    await using runtime = await startTestRuntime({
      endpoints: { 'penstock-gpt': { inferenceComponents: { [MODEL]: { containers: [container.url] } } } },
    });
    const endpoint = createSageMakerEndpoint({ client: runtime.client });
    const gateway = await createGenerationGateway(endpoint);
    await readStream(await gateway.complete({ stream: true, max_tokens: 1 }, { headers: { 'x-penstock-session': 'user-4711' } }));
    await readStream(await gateway.complete({ stream: true, max_tokens: 1 }));
    const [named, unnamed] = container.requests;
    expect(named?.headers['x-amzn-sagemaker-prefix-aware-id']).toMatch(/^[0-9a-f]{32}$/);
    expect(JSON.stringify(named?.headers) + named?.body).not.toContain('4711');
    expect(unnamed?.headers).not.toHaveProperty('x-amzn-sagemaker-prefix-aware-id');
    // A container that keeps no sessions refuses this one.
    expect(named?.headers).not.toHaveProperty('x-amzn-sagemaker-session-id');
    endpoint.close();
  });
});
