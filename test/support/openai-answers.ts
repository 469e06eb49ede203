/** Which of OpenAI's schemas an answer has to follow, by its path; and where the document itself is known to be wrong. */
import { problemsBy, problemsOfEvent } from './openai-schemas.ts';

export interface Answer {
  readonly method: string;
  /** Without a query. */
  readonly path: string;
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

interface Shape {
  readonly method: string;
  readonly path: RegExp;
  readonly whole: string;
  /** Of each event; `events of a response` have one by their type. */
  readonly event?: string;
}

const RESPONSE_EVENTS = 'events of a response';

const shapes: readonly Shape[] = [
  {
    method: 'POST',
    path: /^\/v1\/chat\/completions$/,
    whole: 'CreateChatCompletionResponse',
    event: 'CreateChatCompletionStreamResponse',
  },
  { method: 'POST', path: /^\/v1\/completions$/, whole: 'CreateCompletionResponse', event: 'CreateCompletionResponse' },
  { method: 'POST', path: /^\/v1\/embeddings$/, whole: 'CreateEmbeddingResponse' },
  { method: 'POST', path: /^\/v1\/moderations$/, whole: 'CreateModerationResponse' },
  { method: 'GET', path: /^\/v1\/models$/, whole: 'ListModelsResponse' },
  { method: 'GET', path: /^\/v1\/models\/.+$/, whole: 'Model' },
  { method: 'POST', path: /^\/v1\/responses\/input_tokens$/, whole: 'TokenCountsResource' },
  { method: 'POST', path: /^\/v1\/responses(?:\/[^/]+\/cancel)?$/, whole: 'Response', event: RESPONSE_EVENTS },
  { method: 'GET', path: /^\/v1\/responses\/[^/]+$/, whole: 'Response', event: RESPONSE_EVENTS },
  { method: 'GET', path: /^\/v1\/responses\/[^/]+\/input_items$/, whole: 'ResponseItemList' },
  { method: 'POST', path: /^\/v1\/conversations(?:\/[^/]+)?$/, whole: 'ConversationResource' },
  { method: 'GET', path: /^\/v1\/conversations\/[^/]+$/, whole: 'ConversationResource' },
  { method: 'DELETE', path: /^\/v1\/conversations\/[^/]+$/, whole: 'DeletedConversationResource' },
  { method: '(GET|POST)', path: /^\/v1\/conversations\/[^/]+\/items$/, whole: 'ConversationItemList' },
  { method: 'GET', path: /^\/v1\/conversations\/[^/]+\/items\/[^/]+$/, whole: 'ConversationItem' },
];

export interface Judgement {
  /** Answers and events that there was a schema for. */
  readonly judged: number;
  readonly problems: readonly string[];
}

/** Holds an answer against the document: its error, its whole, or each of its events. */
export function judgeAnswer(answer: Answer): Judgement {
  if (answer.status >= 400) return judgeAll([answer.body], (value) => problemsBy('ErrorResponse', value));
  const shape = shapes.find(({ method, path }) => new RegExp(`^${method}$`).test(answer.method) && path.test(answer.path));
  if (shape === undefined || answer.status !== 200) return { judged: 0, problems: [] };
  if (!answer.contentType.startsWith('text/event-stream')) {
    return judgeAll([answer.body], (value) => problemsBy(shape.whole, asDocumented(value, shape.whole)));
  }
  return judgeAll(readData(answer.body), (value) => {
    if (!isRecord(value)) return ['an event is no object'];
    if (value['type'] === undefined && isRecord(value['error'])) return problemsBy('ErrorResponse', value);
    if (shape.event === RESPONSE_EVENTS) return problemsOfEvent({ ...value, type: String(value['type']) });
    return shape.event === undefined ? ['this path has no stream'] : problemsBy(shape.event, asDocumented(value, shape.event));
  });
}

/** The `data:` of each event of a stream, less its end mark. */
function readData(stream: string): readonly string[] {
  return stream
    .split('\n')
    .filter((line) => line.startsWith('data: '))
    .map((line) => line.slice(6))
    .filter((data) => data !== '[DONE]');
}

function judgeAll(texts: readonly string[], judge: (value: unknown) => readonly string[]): Judgement {
  return { judged: texts.length, problems: texts.flatMap((text) => judge(JSON.parse(text))) };
}

type Fields = Readonly<Record<string, unknown>>;

/** Says in the document's words what it has no words for, and what its own descriptions promise nevertheless. */
function asDocumented(value: unknown, schema: string): unknown {
  if (!isRecord(value)) return value;
  if (schema === 'CreateEmbeddingResponse') return { ...value, data: mapRecords(value['data'], decodeEmbedding) };
  if (schema !== 'CreateCompletionResponse') return value;
  // One schema stands for whole completions and for their chunks, whose usage is null until the last.
  const { usage, ...rest } = value;
  return { ...rest, ...(usage === null ? {} : { usage }), choices: mapRecords(value['choices'], describeChoice) };
}

/** The document knows vectors as numbers only; what is asked for in base64 stands for them. */
function decodeEmbedding(one: Fields): Fields {
  const { embedding } = one;
  if (typeof embedding !== 'string') return one;
  const bytes = Buffer.from(embedding, 'base64');
  return { ...one, embedding: Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4)) };
}

/** A chunk has no finish reason until its choice ends, and the first token of an echoed prompt follows nothing: both are null. */
function describeChoice(choice: Fields): Fields {
  const { finish_reason: reason, logprobs } = choice;
  const withReason = { ...choice, finish_reason: reason ?? 'stop' };
  if (!isRecord(logprobs)) return withReason;
  const [, ...values] = Array.isArray(logprobs['token_logprobs']) ? logprobs['token_logprobs'] : [];
  const [, ...tops] = Array.isArray(logprobs['top_logprobs']) ? logprobs['top_logprobs'] : [];
  return { ...withReason, logprobs: { ...logprobs, token_logprobs: values, top_logprobs: tops } };
}

function mapRecords(values: unknown, change: (one: Fields) => Fields): unknown {
  return Array.isArray(values) ? values.map((one) => (isRecord(one) ? change(one) : one)) : values;
}

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
