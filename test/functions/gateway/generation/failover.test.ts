import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { EndpointRefusedError, EndpointUnavailableError } from '../../../../functions/gateway/errors.ts';
import { createGenerationGateway, PROMPT, readStream, textOf } from '../../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const LENGTH = 24;
const broken = (reason: 'broken' | 'stalled' | 'unreachable' = 'broken') => new EndpointUnavailableError(reason, 'penstock-gpt');
const retry = { maxFailures: 3, canWait: true, hedgeAfterMs: 0, budget: { percent: 20, perSecond: 10 } };
const alternatives = [{ name: 'penstock-other', weight: 1 }];

async function uninterrupted(): Promise<string> {
  const gateway = await createGenerationGateway(new ToyEndpoint());
  return textOf(await gateway.complete({ max_tokens: LENGTH }));
}

describe('failover', () => {
  it('gives the uninterrupted text, whichever token the endpoint breaks at, and one charge', async () => {
    const expected = await uninterrupted();
    for (let after = 0; after <= LENGTH; after += 1) {
      const endpoint = new ToyEndpoint((_, call) =>
        call === 0 ? { after, error: broken(after % 2 === 0 ? 'broken' : 'stalled') } : undefined,
      );
      const gateway = await createGenerationGateway(endpoint, { alternatives });
      const { text, finishReason, error } = await readStream(await gateway.complete({ max_tokens: LENGTH, stream: true }));
      expect({ after, text, finishReason, error }).toEqual({ after, text: expected, finishReason: 'length', error: undefined });
      const usage = await gateway.usage();
      expect(usage).toMatchObject([{ status: 'completed', prompt_tokens: 3, completion_tokens: LENGTH }]);
      // All tokens were there when it broke: nobody needs to be asked.
      expect(endpoint.requests).toHaveLength(after === LENGTH ? 1 : 2);
      expect(endpoint.generatedTokens).toBe(LENGTH);
      if (after === LENGTH) continue;
      expect(endpoint.requests[1]?.promptTokenIds).toHaveLength(PROMPT.length + after);
      expect(endpoint.requests[1]?.maxTokens).toBe(LENGTH - after);
      expect(endpoint.requests[1]?.target.endpointName).not.toBe(endpoint.requests[0]?.target.endpointName);
    }
  });

  it('hides a failure before the first token, in a whole answer too', async () => {
    const endpoint = new ToyEndpoint((_, call) => (call < 2 ? { after: 0, error: broken('unreachable') } : undefined));
    const gateway = await createGenerationGateway(endpoint);
    const response = await gateway.complete({ max_tokens: LENGTH });
    expect(response.status).toBe(200);
    expect(await textOf(response)).toBe(await uninterrupted());
  });

  it('ends in one honest error event when every try fails, and charges what was delivered', async () => {
    const endpoint = new ToyEndpoint((_, call) => ({ after: call === 0 ? 5 : 0, error: broken() }));
    const gateway = await createGenerationGateway(endpoint, { config: { retry: { ...retry, maxFailures: 2 } } });
    const { error, bytes, finishReason } = await readStream(await gateway.complete({ max_tokens: LENGTH, stream: true }));
    expect(error).toBe('endpoint_failed');
    expect(finishReason).toBeUndefined();
    expect(bytes).not.toContain('[DONE]');
    expect(endpoint.requests).toHaveLength(3);
    expect(await gateway.usage()).toMatchObject([{ status: 'failed', prompt_tokens: 3, completion_tokens: 5 }]);
  });

  it('charges nothing for an answer that was only an error', async () => {
    const endpoint = new ToyEndpoint(() => ({ after: 0, error: broken() }));
    const gateway = await createGenerationGateway(endpoint, { config: { retry: { ...retry, maxFailures: 0 } } });
    expect((await gateway.complete()).status).toBe(502);
    expect(await gateway.usage()).toMatchObject([{ status: 'failed', prompt_tokens: 0, completion_tokens: 0 }]);
  });

  it('asks nobody else when the request is at fault', async () => {
    const endpoint = new ToyEndpoint(() => ({ after: 0, error: new EndpointRefusedError('no') }));
    const gateway = await createGenerationGateway(endpoint, { alternatives });
    expect((await gateway.complete()).status).toBe(400);
    expect(endpoint.requests).toHaveLength(1);
  });

  it('does not take up a constrained answer in its middle', async () => {
    const endpoint = new ToyEndpoint((_, call) => (call === 0 ? { after: 3, error: broken() } : undefined));
    const gateway = await createGenerationGateway(endpoint, { alternatives });
    const response = await gateway.call('POST', '/v1/chat/completions', {
      body: {
        model: 'smollm2-135m-instruct',
        messages: [{ role: 'user', content: 'x' }],
        max_tokens: 9,
        stream: true,
        response_format: { type: 'json_object' },
      },
    });
    expect((await readStream(response)).error).toBe('endpoint_failed');
    expect(endpoint.requests).toHaveLength(1);
  });

  it('keeps the rest of several choices going when one of their calls breaks', async () => {
    const endpoint = new ToyEndpoint((_, call) => (call === 1 ? { after: 4, error: broken() } : undefined));
    const gateway = await createGenerationGateway(endpoint);
    const body = (await (await gateway.complete({ n: 3, seed: 1 })).json()) as { choices: { text: string }[]; usage: object };
    const whole = (await (await (await createGenerationGateway(new ToyEndpoint())).complete({ n: 3, seed: 1 })).json()) as typeof body;
    expect(body.choices.map((choice) => choice.text)).toEqual(whole.choices.map((choice) => choice.text));
    expect(body.usage).toEqual(whole.usage);
  });

  it('asks another target too when the first is silent, by setting, and stops the slower one', async () => {
    const endpoint: ToyEndpoint = new ToyEndpoint(undefined, (request) => sleep(request === endpoint.requests[0] ? 5_000 : 1));
    const hedging = { ...retry, maxFailures: 0, hedgeAfterMs: 20 };
    const gateway = await createGenerationGateway(endpoint, { alternatives, config: { retry: hedging } });
    const { text, error } = await readStream(await gateway.complete({ max_tokens: LENGTH, stream: true }));
    expect({ text, error }).toEqual({ text: await uninterrupted(), error: undefined });
    expect(new Set(endpoint.requests.map((request) => request.target.endpointName)).size).toBe(2);
    expect(await gateway.usage()).toMatchObject([{ status: 'completed', completion_tokens: LENGTH }]);
  });
});
