import { AnswerCheck, CanaryFailedError, type CheckedAnswer, errorCode } from './check-answer.ts';

export interface ProbedGateway {
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly deadlineMs: number;
}

/** What a caller sees of a good generation. */
export interface Measurement {
  /** From the first byte of the connection on. */
  readonly timeToFirstTokenMs: number;
  /** After the first text; `undefined` when all of it came at once. */
  readonly tokensPerSecond: number | undefined;
  readonly completionTokens: number;
  /** By which the gateway's log knows it. */
  readonly requestId: string | undefined;
}

const MAX_TOKENS = 24;

/**
 * Makes one short generation, as any client would, and looks at all of it.
 * @param now milliseconds on a clock that never goes back.
 * @throws {CanaryFailedError} whatever was wrong.
 */
export async function probeGeneration(gateway: ProbedGateway, model: string, now: () => number): Promise<Measurement> {
  const beganAt = now();
  const response = await post(gateway, model);
  const requestId = safeId(response.headers.get('x-request-id'));
  try {
    const { completionTokens, firstTextAt, lastTextAt } = await checkAnswer(response, now);
    const later = completionTokens - 1;
    return {
      timeToFirstTokenMs: firstTextAt - beganAt,
      tokensPerSecond: later > 0 && lastTextAt > firstTextAt ? (later * 1000) / (lastTextAt - firstTextAt) : undefined,
      completionTokens,
      requestId,
    };
  } catch (error) {
    if (!(error instanceof CanaryFailedError)) throw error;
    throw new CanaryFailedError(error.failure, { detail: error.detail, requestId, cause: error.cause });
  }
}

async function checkAnswer(response: Response, now: () => number): Promise<CheckedAnswer> {
  if (response.status !== 200) {
    const code = errorCode(await response.text().catch(() => ''));
    throw new CanaryFailedError('refused', { detail: code === undefined ? String(response.status) : `${response.status} ${code}` });
  }
  if (!/^text\/event-stream\b/.test(response.headers.get('content-type') ?? '')) throw new CanaryFailedError('no-event-stream');
  const check = new AnswerCheck(MAX_TOKENS);
  for await (const bytes of readBody(response)) check.push(bytes, now());
  return check.finish();
}

/** Neither temperature 0 nor a seed: a gateway may answer those from its cache, and the model would never be asked. */
function post({ baseUrl, apiKey, deadlineMs }: ProbedGateway, model: string): Promise<Response> {
  return fetch(`${baseUrl}/chat/completions`, {
    method: 'POST',
    redirect: 'error', // the key is for this address
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model,
      messages: [{ role: 'user', content: 'Count from one to twenty.' }],
      max_tokens: MAX_TOKENS,
      temperature: 1,
      stream: true,
      stream_options: { include_usage: true },
    }),
    signal: AbortSignal.timeout(deadlineMs),
  }).catch((error: unknown) => {
    throw failureOf(error, 'unreachable');
  });
}

async function* readBody({ body }: Response): AsyncGenerator<Uint8Array> {
  try {
    if (body !== null) yield* body;
  } catch (error) {
    throw failureOf(error, 'cut');
  }
}

function failureOf(error: unknown, otherwise: 'unreachable' | 'cut'): CanaryFailedError {
  const isLate = error instanceof Error && error.name === 'TimeoutError';
  return new CanaryFailedError(isLate ? 'too-late' : otherwise, { cause: error });
}

function safeId(id: string | null): string | undefined {
  return id !== null && /^[\w-]{1,64}$/.test(id) ? id : undefined;
}
