/** The contract of the port `OfflineEndpoint`. Every driver runs it, in front of a container that replays what a real vLLM sent. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EndpointRefusedError, EndpointUnavailableError } from '../../functions/gateway/errors.ts';
import type { EndpointEvent, EndpointRequest, EndpointTarget, OfflineEndpoint } from '../../functions/gateway/services.ts';
import { type ContainerScript, replay, type ScriptedContainer, startScriptedContainer } from '../support/scripted-container.ts';
import { loadRecording, recordedChoices, recordedUsage } from '../support/vllm-recordings.ts';

export interface OfflineEndpointUnderTest extends AsyncDisposable {
  readonly target: EndpointTarget;
  /** As another process has it. */
  create(): OfflineEndpoint;
  /** Everything that lies somewhere because of it. */
  kept(): Promise<readonly string[]>;
}

export function testOfflineEndpoint(create: (containerUrl: string) => Promise<OfflineEndpointUnderTest>): void {
  const recording = loadRecording('whole-length');
  let container: ScriptedContainer;
  let subject: OfflineEndpointUnderTest;
  let offline: OfflineEndpoint;
  let count = 0;
  let name = '';
  let request: EndpointRequest;

  beforeAll(async () => {
    container = await startScriptedContainer();
    subject = await create(container.url);
    offline = subject.create();
    request = {
      target: subject.target,
      requestId: 'req_1',
      promptTokenIds: [504, 3575, 282, 4649, 314],
      maxTokens: 12,
      stopTokenIds: [2],
      sampling: { temperature: 0, topP: 1, seed: 7 },
    };
  });
  beforeEach(() => {
    count += 1;
    name = `gen_${count}`;
    container.requests.length = 0;
    container.play(replay(recording));
  });
  afterAll(async () => {
    await subject[Symbol.asyncDispose]();
    await container[Symbol.asyncDispose]();
  });

  const made = async (endpoint = offline, asked = request): Promise<readonly EndpointEvent[]> => {
    let events: readonly EndpointEvent[] | undefined;
    await expect
      .poll(
        async () => {
          events = await endpoint.fetch(name, asked);
          return events !== undefined;
        },
        { interval: 10, timeout: 20_000 },
      )
      .toBe(true);
    return events ?? [];
  };
  const failed = async (): Promise<unknown> => {
    for (;;) {
      try {
        if ((await offline.fetch(name, request)) !== undefined) return undefined;
      } catch (error) {
        return error;
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };

  it('gives the model’s tokens, and how it came to its end', async () => {
    const events = await made();
    const [choice] = recordedChoices(recording);
    expect(events.flatMap((event) => (event.type === 'tokens' ? event.tokenIds : []))).toEqual(choice?.token_ids);
    expect(events.at(-1)).toMatchObject({ type: 'end', finishReason: choice?.finish_reason });
    expect(recordedUsage(recording).completion_tokens).toBe(choice?.token_ids?.length);
  });

  it('asks for what the request says, in one piece', async () => {
    await made();
    const body = JSON.parse(container.requests[0]?.body ?? '');
    expect(body).toMatchObject({
      prompt: request.promptTokenIds,
      max_tokens: 12,
      temperature: 0,
      seed: 7,
      stop_token_ids: [2],
      return_token_ids: true,
    });
    expect(body.stream ?? false).toBe(false);
    expect(body).not.toHaveProperty('stream_options'); // vLLM refuses it without a stream
  });

  it('has nothing while the model is at work, and asks it once, whoever looks how often', async () => {
    const release = Promise.withResolvers<void>();
    const slow: ContainerScript = async (response, asked) => {
      await release.promise;
      await replay(recording)(response, asked);
    };
    container.play(slow);
    expect(await offline.fetch(name, request)).toBeUndefined();
    await expect.poll(() => container.requests.length, { interval: 5 }).toBe(1);
    const other = subject.create();
    for (let looks = 0; looks < 3; looks += 1) expect(await other.fetch(name, request)).toBeUndefined();
    release.resolve();
    const events = await made(other);
    expect(await made()).toEqual(events);
    expect(container.requests).toHaveLength(1);
  });

  it('gives everybody the same answer when two ask at the same moment', async () => {
    let answers = 0;
    container.play((response) => {
      answers += 1;
      const answer = JSON.parse(recording.chunks.join(''));
      answer.choices[0].token_ids[0] = answers; // as if each were drawn anew
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    });
    const [one, other] = [subject.create(), subject.create()];
    await Promise.all([one.fetch(name, request), other.fetch(name, request)]);
    expect(await made(one)).toEqual(await made(other));
  });

  it('tells what the model refuses', async () => {
    container.play(replay(loadRecording('error-context-length')));
    expect(await failed()).toBeInstanceOf(EndpointRefusedError);
  });

  describe.each([
    ['that the model failed', 'model-error', (response) => void response.writeHead(500).end('{"error":{"message":"CUDA","code":500}}')],
    ['that the model hung up', 'model-error', (response) => void response.destroy()],
    [
      'that its answer makes no sense',
      'broken',
      (response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices":'),
    ],
  ] satisfies [string, string, ContainerScript][])('tells', (what, reason, script) => {
    it(what, async () => {
      container.play(script);
      const error = await failed();
      expect(error).toBeInstanceOf(EndpointUnavailableError);
      expect(error).toMatchObject({ reason });
    });
  });

  it('forgets what was asked and answered, and what was never asked', async () => {
    await offline.forget(name);
    const before = await subject.kept();
    await made();
    expect((await subject.kept()).length).toBeGreaterThan(before.length);
    await offline.forget(name);
    expect(await subject.kept()).toEqual(before);
    container.requests.length = 0;
    await made(); // asked for anew
    expect(container.requests).toHaveLength(1);
  });
}
