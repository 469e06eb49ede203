import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createSageMakerEndpoint } from '../../../functions/drivers/sagemaker-endpoint.ts';
import type { EndpointTarget } from '../../../functions/gateway/services.ts';
import type { FaultPlanInput } from '../../../models/local/sagemaker-runtime/faults.ts';
import { collect, endpointRequest, failureOf, idsOf, testEndpoint } from '../../contracts/endpoint.ts';
import { startTestRuntime, type TestRuntime } from '../../support/sagemaker-runtime.ts';
import { replay, type ScriptedContainer, startScriptedContainer } from '../../support/scripted-container.ts';
import { loadRecording, recordedChoices } from '../../support/vllm-recordings.ts';

describe('SageMaker endpoint, in front of the local runtime', () => {
  testEndpoint(async (containerUrl) => {
    const runtime = await startTestRuntime({ endpoints: { gpt: { containers: [containerUrl] } } });
    const endpoint = createSageMakerEndpoint({ client: runtime.client });
    return {
      endpoint,
      target: { endpointName: 'gpt' },
      [Symbol.asyncDispose]: async () => {
        endpoint.close();
        await runtime[Symbol.asyncDispose]();
      },
    };
  });
});

describe('SageMaker endpoint', () => {
  const recording = loadRecording('stream-length');
  let container: ScriptedContainer;
  let runtime: TestRuntime;
  let endpoint: ReturnType<typeof createSageMakerEndpoint>;
  const target: EndpointTarget = { endpointName: 'gpt', inferenceComponent: 'base' };

  beforeAll(async () => {
    container = await startScriptedContainer();
    container.play(replay(recording));
    const containers = [container.url];
    runtime = await startTestRuntime({
      endpoints: {
        gpt: {
          inferenceComponents: {
            base: { containers },
            asleep: { containers, copies: 0, loadSeconds: 0.05, scaleUpWhenRefused: true },
            'ad-1': { baseInferenceComponentName: 'base', adapterIdentifier: 'pirate' },
          },
        },
        variants: { variants: { one: { containers }, two: { containers, weight: 0 } } },
      },
    });
    endpoint = createSageMakerEndpoint({ client: runtime.client, firstBytesTimeoutMs: 5000, pauseTimeoutMs: 200 });
  });
  afterEach(async () => {
    await runtime.setFaults();
    container.play(replay(recording));
  });
  afterAll(async () => {
    endpoint.close();
    await runtime[Symbol.asyncDispose]();
    await container[Symbol.asyncDispose]();
  });

  const invoke = (changes: Partial<Parameters<typeof endpoint.invoke>[0]> = {}, using = endpoint) =>
    using.invoke({ ...endpointRequest(recording), target, ...changes }, new AbortController().signal);

  describe('turns what AWS says into a reason', () => {
    type Fault = FaultPlanInput['faults'][number];
    it.each<[Fault, string, number]>([
      [{ kind: 'throttling' }, 'throttled', 0],
      [{ kind: 'model-not-ready' }, 'not-ready', 0],
      [{ kind: 'service-unavailable' }, 'unreachable', 0],
      [{ kind: 'internal-failure' }, 'unreachable', 0],
      [{ kind: 'internal-dependency' }, 'unreachable', 0],
      [{ kind: 'zero-copies', loadSeconds: 0.01 }, 'no-capacity', 0],
      [{ kind: 'model-error' }, 'model-error', 0],
      [{ kind: 'model-error', status: 0 }, 'stalled', 0],
      [{ kind: 'model-error', status: 429 }, 'throttled', 0],
      [{ kind: 'model-error', status: 503 }, 'queue-full', 0],
      [{ kind: 'stream-broken', afterEvents: 0 }, 'broken', 0],
      [{ kind: 'stream-broken', afterEvents: 3 }, 'broken', 3],
      [{ kind: 'stream-failure', afterEvents: 3 }, 'broken', 3],
      [{ kind: 'stream-time-exceeded', afterEvents: 3 }, 'time-exceeded', 3],
      [{ kind: 'stall', afterEvents: 3 }, 'stalled', 3],
      [{ kind: 'cut', afterEvents: 3 }, 'broken', 3],
      [{ kind: 'corrupt-frame', afterEvents: 3 }, 'broken', 3],
    ])('%o', async (fault, reason, tokens) => {
      await runtime.setFaults(fault);
      const failure = await failureOf(invoke());
      expect(failure.error).toMatchObject({ name: 'EndpointUnavailableError', reason });
      expect(idsOf(failure.events)).toHaveLength(tokens);
    });

    it('a connection that is reset', async () => {
      await runtime.setFaults({ kind: 'reset', afterEvents: 3 });
      const { events, error } = await failureOf(invoke());
      // A reset may overtake what was sent before it, the head of the answer too.
      expect(error).toMatchObject({ reason: expect.stringMatching(/^(broken|unreachable)$/) });
      expect(idsOf(events).length).toBeLessThanOrEqual(3);
    });

    it.each<[string, EndpointTarget, string]>([
      ['an endpoint that does not exist', { endpointName: 'nowhere' }, 'unreachable'],
      ['an inference component that does not exist', { endpointName: 'gpt', inferenceComponent: 'nobody' }, 'unreachable'],
    ])('%s', async (_, missing, reason) => {
      expect((await failureOf(invoke({ target: missing }))).error).toMatchObject({ reason });
    });

    it('a signature that does not match', async () => {
      const stranger = createSageMakerEndpoint({
        client: { ...runtime.client, credentials: { accessKeyId: 'AKIDTEST', secretAccessKey: 'another' } },
      });
      const { error } = await failureOf(invoke({}, stranger));
      expect(error).toMatchObject({ reason: 'unreachable', cause: { name: 'InvalidSignatureException' } });
      stranger.close();
    });

    it('an address that nobody listens at', async () => {
      const lost = createSageMakerEndpoint({ client: { ...runtime.client, endpoint: 'http://127.0.0.1:1' } });
      expect((await failureOf(invoke({}, lost))).error).toMatchObject({ reason: 'unreachable' });
      lost.close();
    });
  });

  it('waits for a slow start', async () => {
    await runtime.setFaults({ kind: 'slow-start', seconds: 0.3 }); // longer than a pause between tokens may be
    expect((await collect(invoke())).at(-1)).toMatchObject({ type: 'end' });
  });

  it('finds a component that was asleep once it has loaded', async () => {
    const asleep = { target: { endpointName: 'gpt', inferenceComponent: 'asleep' } };
    expect((await failureOf(invoke(asleep))).error).toMatchObject({ reason: 'no-capacity', retryAfterSeconds: 10 });
    for (;;) {
      const outcome = await collect(invoke(asleep)).catch((error: { reason?: string }) => error.reason);
      if (outcome === 'no-capacity') continue;
      expect(outcome).toHaveLength(9);
      return;
    }
  });

  it('outlives a kept-alive connection that was closed while it rested', async () => {
    // As after a function was frozen: the peer is gone, and the first thing sent on the old connection is answered with a reset.
    const used: number[] = [];
    const proxy = createServer((socket) => {
      const upstream = connect(Number(new URL(runtime.url).port), '127.0.0.1');
      const connection = used.push(0) - 1;
      for (const end of [socket, upstream]) end.on('error', () => undefined);
      socket.on('data', (bytes) => {
        if (bytes.includes('POST /endpoints/')) used[connection] = (used[connection] ?? 0) + 1;
        if (connection === 0 && used[connection] === 2) socket.resetAndDestroy();
        else upstream.write(bytes);
      });
      upstream.pipe(socket);
      socket.on('close', () => upstream.destroy());
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const { port } = proxy.address() as AddressInfo;
    const frozen = createSageMakerEndpoint({ client: { ...runtime.client, endpoint: `http://127.0.0.1:${port}` } });
    await collect(invoke({}, frozen));
    expect((await collect(invoke({}, frozen))).at(-1)).toMatchObject({ type: 'end' });
    expect(used).toEqual([2, 1]); // the first connection was used again, and then another one
    frozen.close();
    proxy.close();
  });

  it('asks for vLLM’s completions of token ids', async () => {
    const sampling = {
      temperature: 0.7,
      topP: 0.9,
      topK: 40,
      seed: 7,
      frequencyPenalty: 0.5,
      presencePenalty: -0.5,
      logitBias: new Map([[42, -100]]),
    };
    await collect(invoke({ requestId: 'req-1', maxTokens: 3, stopTokenIds: [2, 5], sampling, topLogprobs: 2 }));
    const { body, headers } = container.requests.at(-1) ?? { body: '', headers: {} };
    expect(JSON.parse(body)).toEqual({
      prompt: [504, 3575, 282, 4649, 314],
      stream: true,
      stream_options: { include_usage: true },
      return_token_ids: true,
      return_tokens_as_token_ids: true,
      request_id: 'req-1',
      max_tokens: 3,
      stop_token_ids: [2, 5],
      temperature: 0.7,
      top_p: 0.9,
      top_k: 40,
      seed: 7,
      frequency_penalty: 0.5,
      presence_penalty: -0.5,
      logit_bias: { '42': -100 },
      logprobs: 2,
    });
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'x-amzn-sagemaker-inference-id': 'req-1' });
    expect(headers).not.toHaveProperty('x-amzn-sagemaker-adapter-identifier');
  });

  it('names an adapter by its inference component, which the container hears as its adapter', async () => {
    await collect(invoke({ target: { ...target, adapter: 'ad-1' } }));
    expect(container.requests.at(-1)?.headers).toMatchObject({
      'x-amzn-sagemaker-adapter-identifier': 'pirate',
      'x-amzn-sagemaker-inference-component': 'ad-1',
    });
  });

  it('asks for a variant by name', async () => {
    await collect(invoke({ target: { endpointName: 'variants', variant: 'two' } }));
    expect(container.requests.at(-1)?.headers).toMatchObject({ 'x-amzn-sagemaker-target-variant': 'two' });
  });

  it('keeps a request id that is no header value out of the headers', async () => {
    await collect(invoke({ requestId: 'naïve\r\nid' }));
    expect(container.requests.at(-1)?.headers).not.toHaveProperty('x-amzn-sagemaker-inference-id');
  });

  it('reads the JSON lines of LMI', async () => {
    container.play((response) => {
      response.writeHead(200, { 'content-type': 'application/jsonlines' });
      response.end(recording.chunks.join('').replaceAll('data: ', '').replaceAll('\n\n', '\n').replace('[DONE]\n', ''));
    });
    expect(idsOf(await collect(invoke()))).toEqual(recordedChoices(recording).flatMap((choice) => choice.token_ids));
  });

  it('reads a whole answer of a container that does not stream', async () => {
    const whole = loadRecording('whole-length');
    container.play(replay(whole));
    const events = await collect(invoke());
    expect(idsOf(events)).toEqual(recordedChoices(whole)[0]?.token_ids);
    expect(events.at(-1)).toEqual({ type: 'end', finishReason: 'length', cachedPromptTokens: 0 });
  });

  it('lets no text of the request or the answer into an error', async () => {
    const secret = 'TOP-SECRET';
    for (const body of [`{"error":{"message":"1 validation error: {'input': '${secret}'}","code":400}}`, secret]) {
      container.play((response) => void response.writeHead(400).end(body));
      expect(String((await failureOf(invoke())).error)).not.toContain(secret);
    }
    container.play(
      (response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).end(`data: {"text": "${secret}"\n\n`),
    );
    const { error } = await failureOf(invoke());
    expect(`${error}${(error as Error).cause}`).not.toContain(secret);
  });
});
