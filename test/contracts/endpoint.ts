/** The contract of the port `Endpoint`. Every driver runs it, in front of a container that replays what a real vLLM sent. */
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EndpointRefusedError, EndpointUnavailableError } from '../../functions/gateway/errors.ts';
import type { Endpoint, EndpointEvent, EndpointRequest, EndpointTarget } from '../../functions/gateway/services.ts';
import { replay, replayThen, type ScriptedContainer, startScriptedContainer } from '../support/scripted-container.ts';
import { loadRecording, type Recording, recordedAnswer, recordedBody, recordedChoices, recordedUsage } from '../support/vllm-recordings.ts';

/** A caller that stays. */
const ALIVE = new AbortController().signal;

interface RecordedScores {
  readonly choices: readonly {
    readonly prompt_logprobs: readonly (Readonly<Record<string, { logprob: number; rank: number }>> | null)[];
  }[];
}

interface RecordedEmbeddings {
  readonly data: readonly { readonly embedding: readonly number[] }[];
  readonly usage: { readonly prompt_tokens: number };
}

export interface EndpointUnderTest extends AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly target: EndpointTarget;
}

export function testEndpoint(create: (containerUrl: string) => Promise<EndpointUnderTest>): void {
  let container: ScriptedContainer;
  let subject: EndpointUnderTest;

  beforeAll(async () => {
    container = await startScriptedContainer();
    subject = await create(container.url);
  });
  afterAll(async () => {
    await subject[Symbol.asyncDispose]();
    await container[Symbol.asyncDispose]();
  });

  const requestLike = (recording: Recording, changes: Partial<EndpointRequest> = {}): EndpointRequest => ({
    ...endpointRequest(recording),
    target: subject.target,
    ...changes,
  });
  const invoke = (request: EndpointRequest, signal: AbortSignal = ALIVE) => subject.endpoint.invoke(request, signal);
  const play = (name: string) => {
    const recording = loadRecording(name);
    container.play(replay(recording));
    return recording;
  };

  describe('an answer', () => {
    it.each([
      'stream-length',
      'stream-eos',
      'stream-stop-token',
      'stream-sampled',
      'stream-emoji',
      'stream-request-id',
      'stream-json-schema',
    ])('has the ids that vLLM sent and ends for its reason: %s', async (name) => {
      const recording = play(name);
      const events = await collect(invoke(requestLike(recording)));
      const choices = recordedChoices(recording);
      expect(idsOf(events)).toEqual(choices.flatMap((choice) => choice.token_ids));
      expect(idsOf(events)).toHaveLength(recordedUsage(recording).completion_tokens);
      expect(events.at(-1)).toMatchObject({ type: 'end', finishReason: choices.at(-1)?.finish_reason });
      expect(events.filter((event) => event.type === 'end')).toHaveLength(1);
    });

    it('streams the ids of the whole answer', async () => {
      const whole = recordedChoices(loadRecording('whole-length'));
      const events = await collect(invoke(requestLike(play('stream-length'))));
      expect(idsOf(events)).toEqual(whole[0]?.token_ids);
    });

    it('counts the end-of-sequence id and the stop id', async () => {
      expect(idsOf(await collect(invoke(requestLike(play('stream-eos'))))).at(-1)).toBe(2);
      expect(idsOf(await collect(invoke(requestLike(play('stream-stop-token'))))).at(-1)).toBe(2988);
    });

    it.each([
      ['stream-logprobs', 3],
      ['stream-logprobs-zero', 0],
    ])('has the log-probabilities that vLLM sent: %s', async (name, topLogprobs) => {
      const recording = play(name);
      const events = await collect(invoke(requestLike(recording, { topLogprobs })));
      const positions = events.flatMap((event) => (event.type === 'tokens' ? (event.logprobs ?? []) : []));
      const expected = recordedChoices(recording).flatMap((choice) => choice.logprobs?.token_logprobs ?? []);
      expect(positions.map(({ logprob }) => logprob)).toEqual(expected);
      expect(positions.map(({ tokenId }) => tokenId)).toEqual(idsOf(events));
      const likeliest = recordedChoices(recording).flatMap((choice) => choice.logprobs?.top_logprobs ?? []);
      for (const [index, position] of positions.entries()) {
        expect(position.top).toHaveLength(topLogprobs);
        const sorted = Object.values(likeliest[index] ?? {}).sort((one, other) => other - one);
        expect(position.top.map(({ logprob }) => logprob)).toEqual(sorted.slice(0, topLogprobs));
      }
    });

    it('comes event by event, before the container has finished', async () => {
      const recording = loadRecording('stream-length');
      const { promise: finish, resolve: letFinish } = Promise.withResolvers<void>();
      container.play(
        replayThen(recording, 1, async (response) => {
          await finish;
          for (const chunk of recording.chunks.slice(1)) response.write(chunk);
          response.end();
        }),
      );
      const events = invoke(requestLike(recording))[Symbol.asyncIterator]();
      const first = await events.next();
      expect(first.value).toMatchObject({ type: 'tokens', tokenIds: recordedChoices(recording)[0]?.token_ids });
      letFinish();
      await drain(events);
    });

    it('is served beside a hundred others', async () => {
      const recording = loadRecording('stream-length');
      const { promise: all, resolve: allAreHere } = Promise.withResolvers<void>();
      const before = container.requests.length;
      container.play(
        replayThen(recording, 1, async (response) => {
          if (container.requests.length - before === 100) allAreHere();
          await all; // nobody is answered before everybody was heard: a limit on connections would never get here
          for (const chunk of recording.chunks.slice(1)) response.write(chunk);
          response.end();
        }),
      );
      const answers = await Promise.all(Array.from({ length: 100 }, () => collect(invoke(requestLike(recording)))));
      for (const answer of answers) expect(idsOf(answer)).toEqual(recordedChoices(recording).flatMap((choice) => choice.token_ids));
    });
  });

  describe('tokens that are given', () => {
    it('are scored as vLLM scores them', async () => {
      const recording = play('whole-scores');
      const prompts = recordedBody<{ prompt: number[][] }>(recording).prompt;
      const scores = await subject.endpoint.score({ target: subject.target, requestId: 'req-contract', prompts, topLogprobs: 2 }, ALIVE);
      const { choices } = recordedAnswer<RecordedScores>(recording);
      expect(scores.map((positions) => positions.map((position) => position?.logprob))).toEqual(
        prompts.map((prompt, index) => prompt.map((id, position) => choices[index]?.prompt_logprobs[position]?.[id]?.logprob)),
      );
      for (const [index, positions] of scores.entries()) {
        expect(positions[0]).toBeUndefined();
        for (const [position, score] of positions.entries()) {
          const ranked = Object.entries(choices[index]?.prompt_logprobs[position] ?? {}).filter(([, { rank }]) => rank <= 2);
          const byRank = ranked.sort(([, one], [, other]) => one.rank - other.rank).map(([id]) => Number(id));
          expect(score?.top.map(({ tokenId }) => tokenId) ?? []).toEqual(byRank);
        }
      }
    });

    it('are embedded: base64 says what the numbers say', async () => {
      const recording = play('whole-embedding');
      const { input } = recordedBody<{ input: number[][] }>(recording);
      const result = await subject.endpoint.embed({ target: subject.target, requestId: 'req-contract', input }, ALIVE);
      const expected = recordedAnswer<RecordedEmbeddings>(loadRecording('whole-embedding-float'));
      expect(result.promptTokens).toBe(expected.usage.prompt_tokens);
      for (const [index, { embedding }] of expected.data.entries()) {
        expect(result.embeddings[index]).toHaveLength(embedding.length);
        expect(
          [...(result.embeddings[index] ?? [])].map((value, at) => Math.abs(value - (embedding[at] ?? 0))).every((gap) => gap < 1e-6),
        ).toBe(true);
      }
    });

    it('meet the same refusals', async () => {
      const score = () => subject.endpoint.score({ target: subject.target, requestId: 'r', prompts: [[1, 2]], topLogprobs: 0 }, ALIVE);
      play('error-queue-full');
      await expect(score()).rejects.toMatchObject({ reason: 'queue-full' });
      play('error-context-length');
      await expect(score()).rejects.toThrow(EndpointRefusedError);
      play('whole-length'); // a container that does not know what was asked
      await expect(score()).rejects.toMatchObject({ reason: 'model-error' });
      await expect(subject.endpoint.embed({ target: subject.target, requestId: 'r', input: [[1]] }, ALIVE)).rejects.toMatchObject({
        reason: 'model-error',
      });
    });
  });

  describe('a refusal', () => {
    it.each([
      ['error-context-length', /maximum context length is 1024 tokens/],
      ['error-vocabulary', /out of vocabulary/],
      ['error-empty-prompt', /at least one prompt/],
      ['error-session', /stateful sessions not enabled/],
    ])('of the request is told in the words of the container: %s', async (name, words) => {
      const failure = await failureOf(invoke(requestLike(play(name))));
      expect(failure.events).toEqual([]);
      expect(failure.error).toBeInstanceOf(EndpointRefusedError);
      expect(String(failure.error)).toMatch(words);
    });

    it.each([
      ['stream-queue-full', 'queue-full'],
      ['error-queue-full', 'queue-full'],
      ['error-adapter', 'model-error'],
      ['stream-without-ids', 'model-error'],
    ])('for another reason is %s', async (name, reason) => {
      expect(await failureOf(invoke(requestLike(play(name))))).toMatchObject({
        events: [],
        error: { name: 'EndpointUnavailableError', reason },
      });
    });
  });

  describe('a failure', () => {
    it('in mid-answer comes after the ids before it', async () => {
      const recording = loadRecording('stream-length');
      container.play(replayThen(recording, 3, (response) => void response.destroy()));
      const failure = await failureOf(invoke(requestLike(recording)));
      expect(idsOf(failure.events)).toEqual(
        recordedChoices(recording)
          .slice(0, 3)
          .flatMap((choice) => choice.token_ids),
      );
      expect(failure.error).toMatchObject({ name: 'EndpointUnavailableError', reason: 'broken' });
    });

    it('is an answer that ends without a finish reason', async () => {
      const recording = loadRecording('stream-length');
      container.play(replayThen(recording, 2, (response) => void response.end()));
      expect((await failureOf(invoke(requestLike(recording)))).error).toMatchObject({ reason: 'broken' });
      container.play(replayThen(recording, 2, (response) => void response.end('data: [DONE]\n\n')));
      expect((await failureOf(invoke(requestLike(recording)))).error).toMatchObject({ reason: 'broken' });
    });

    it('is an error event among the tokens', async () => {
      const recording = loadRecording('stream-length');
      const refused = loadRecording('stream-queue-full');
      container.play(replayThen(recording, 2, (response) => void response.end(refused.chunks.join(''))));
      const failure = await failureOf(invoke(requestLike(recording)));
      expect(idsOf(failure.events)).toHaveLength(2);
      expect(failure.error).toMatchObject({ reason: 'queue-full' });
    });

    it('is an answer that is no event', async () => {
      const recording = loadRecording('stream-length');
      container.play(replayThen(recording, 2, (response) => void response.end('data: {"choices": [\n\n')));
      const { error } = await failureOf(invoke(requestLike(recording)));
      expect(error).toBeInstanceOf(EndpointUnavailableError);
      expect(error).toMatchObject({ reason: 'broken' });
    });

    it('of the container before it answers is one of the model', async () => {
      container.play((response) => void response.socket?.destroy());
      expect((await failureOf(invoke(requestLike(loadRecording('stream-length'))))).error).toBeInstanceOf(EndpointUnavailableError);
      container.play((response) => void response.writeHead(500).end('Internal Server Error'));
      expect((await failureOf(invoke(requestLike(loadRecording('stream-length'))))).error).toMatchObject({ reason: 'model-error' });
    });

    it('does not concern the next request', async () => {
      const recording = play('stream-length');
      expect((await collect(invoke(requestLike(recording)))).at(-1)).toMatchObject({ type: 'end' });
    });
  });

  describe('a caller', () => {
    const recording = loadRecording('stream-length');
    /** Sends two tokens and then works on, as a container that nobody stops. */
    const workOn = () => container.play(replayThen(recording, 2, (response) => once(response, 'close').then(() => undefined)));

    it('who has not pulled yet has sent nothing', async () => {
      const before = container.requests.length;
      invoke(requestLike(recording));
      play('stream-length');
      await collect(invoke(requestLike(recording)));
      expect(container.requests).toHaveLength(before + 1);
    });

    it('who had gone before sends nothing', async () => {
      const before = container.requests.length;
      const failure = await failureOf(invoke(requestLike(recording), AbortSignal.abort(new Error('gone'))));
      expect(failure.error).toMatchObject({ message: 'gone' });
      expect(container.requests).toHaveLength(before);
    });

    it('who aborts stops the container, and hears the reason', async () => {
      workOn();
      const gone = new AbortController();
      const events = invoke(requestLike(recording), gone.signal)[Symbol.asyncIterator]();
      await events.next();
      await events.next();
      const third = events.next();
      gone.abort(new Error('gone'));
      await expect(third).rejects.toThrow('gone');
      await container.requests.at(-1)?.abandoned;
    });

    it('who aborts before the first token stops the container', async () => {
      const { promise: received, resolve: isReceived } = Promise.withResolvers<void>();
      container.play(async (response) => {
        isReceived();
        await once(response, 'close');
      });
      const gone = new AbortController();
      const first = invoke(requestLike(recording), gone.signal)[Symbol.asyncIterator]().next();
      await received;
      gone.abort(new Error('gone'));
      await expect(first).rejects.toThrow('gone');
      await container.requests.at(-1)?.abandoned;
    });

    it('who leaves the loop stops the container', async () => {
      workOn();
      for await (const event of invoke(requestLike(recording))) {
        expect(event.type).toBe('tokens');
        break;
      }
      await container.requests.at(-1)?.abandoned;
    });
  });
}

/** The request of ours that makes the recorded one. */
export function endpointRequest(recording: Recording): Omit<EndpointRequest, 'target'> {
  const body = typeof recording.request === 'string' ? {} : recording.request;
  const ids = (value: unknown): readonly number[] => (Array.isArray(value) ? value : []);
  return {
    requestId: 'req-contract',
    promptTokenIds: ids(body['prompt']),
    maxTokens: Number(body['max_tokens'] ?? 16),
    stopTokenIds: ids(body['stop_token_ids']),
    sampling: { temperature: Number(body['temperature'] ?? 0), topP: Number(body['top_p'] ?? 1) },
  };
}

export async function collect(events: AsyncIterable<EndpointEvent>): Promise<EndpointEvent[]> {
  const seen: EndpointEvent[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

async function drain(events: AsyncIterator<EndpointEvent>): Promise<void> {
  while ((await events.next()).done !== true);
}

export function idsOf(events: readonly EndpointEvent[]): number[] {
  return events.flatMap((event) => (event.type === 'tokens' ? event.tokenIds : []));
}

/** What came until it failed. Throws when it does not fail. */
export async function failureOf(events: AsyncIterable<EndpointEvent>): Promise<{ events: EndpointEvent[]; error: unknown }> {
  const seen: EndpointEvent[] = [];
  try {
    for await (const event of events) seen.push(event);
  } catch (error) {
    return { events: seen, error };
  }
  throw new Error(`nothing failed: ${JSON.stringify(seen)}`);
}
