import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { EndpointUnavailableError } from '../../../../functions/gateway/errors.ts';
import { createGenerationGateway, type TestGateway } from '../../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

async function get(gateway: TestGateway, query = ''): Promise<{ data: Record<string, unknown>[] }> {
  return (await (await gateway.call('GET', `/v1/usage${query}`)).json()) as { data: Record<string, unknown>[] };
}

describe('GET /v1/usage', () => {
  it('tells where each call went and how it ended, and where the answer came from', async () => {
    const endpoint = new ToyEndpoint(({ target }) =>
      target.endpointName === 'penstock-gpt' ? { after: 0, error: new EndpointUnavailableError('broken', 'penstock-gpt') } : undefined,
    );
    const gateway = await createGenerationGateway(endpoint, { alternatives: [{ name: 'penstock-other', region: 'eu-west-1' }] });
    await (await gateway.complete({ max_tokens: 6 })).text();
    const [line] = (await get(gateway)).data;
    expect(line).toMatchObject({
      endpoint: 'penstock-other',
      region: 'eu-west-1',
      attempts: 2,
      calls: [
        { endpoint: 'penstock-gpt/smollm2-135m-instruct', region: null, outcome: 'broken', count: 1 },
        { endpoint: 'penstock-other', region: 'eu-west-1', outcome: 'answered', count: 1 },
      ],
      completion_tokens: 6,
      safety: null,
    });
    const csv = await (await gateway.call('GET', '/v1/usage?format=csv')).text();
    const [names = '', cells = ''] = csv.split('\r\n');
    expect(cells.split(',')[names.split(',').indexOf('calls')]).toBe(
      '1 broken at penstock-gpt/smollm2-135m-instruct; 1 answered at penstock-other in eu-west-1',
    );
  });

  it('counts like calls together, and those of a client that left as left', async () => {
    let failures = 3;
    const endpoint = new ToyEndpoint(() => {
      failures -= 1;
      return failures >= 0 ? { after: 0, error: new EndpointUnavailableError('unreachable', 'penstock-gpt') } : undefined;
    });
    const gateway = await createGenerationGateway(endpoint, {
      config: { retry: { maxFailures: 3, canWait: true, hedgeAfterMs: 0, budget: { percent: 100, perSecond: 10 } } },
    });
    const response = await gateway.complete({ max_tokens: 500, stream: true });
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    const [line] = (await get(gateway)).data;
    expect(line).toMatchObject({
      status: 'cancelled',
      attempts: 4,
      calls: [
        { outcome: 'unreachable', count: 3 },
        { outcome: 'left', count: 1 },
      ],
    });
  });

  it('tells whose the seed of a sampled answer is', async () => {
    const gateway = await createGenerationGateway(new ToyEndpoint());
    for (const sampling of [{ temperature: 1 }, { temperature: 1, seed: 7 }, { temperature: 0 }]) {
      await (await gateway.complete(sampling)).text();
    }
    expect((await get(gateway)).data.map((line) => line['seed_chosen'])).toEqual([true, false, false]);
  });

  it('is what its OpenAPI description says', async () => {
    const gateway = await createGenerationGateway(new ToyEndpoint());
    await (await gateway.complete({})).text();
    const { paths } = (await (await gateway.call('GET', '/openapi.json')).json()) as {
      paths: Record<string, { get: { responses: { 200: { content: { 'application/json': { schema: object } } } } } }>;
    };
    const schema = paths['/v1/usage']?.get.responses[200].content['application/json'].schema ?? {};
    const validate = new Ajv2020({ strict: false }).compile(schema);
    for (const query of ['', '?group_by=day,model,api_key,project']) {
      expect(validate(await get(gateway, query)), JSON.stringify(validate.errors)).toBe(true);
    }
    expect(validate({ object: 'list', start_time: 0, end_time: 1, data: [{ tokens: 1 }] })).toBe(false);
  });
});
