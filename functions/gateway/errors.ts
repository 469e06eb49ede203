/** Everything a caller can be told. A `GatewayError` is an answer; anything else that is thrown is a bug or an outage and is shown as a plain 500. */

export abstract class GatewayError extends Error {
  abstract readonly status: number;
  /** OpenAI's `error.type`. */
  abstract readonly type: string;
  /** OpenAI's `error.code`; `null` where OpenAI has none. */
  abstract readonly code: string | null;
  /** The request field at fault, as a dotted path: `messages.0.role`. */
  readonly param: string | null = null;
  readonly retryAfterSeconds: number | undefined = undefined;
  /** Headers that go with the answer. */
  readonly headers: Readonly<Record<string, string>> = {};
}

/** The request is good, and is not served now. */
abstract class UnavailableError extends GatewayError {
  override readonly status = 503;
  override readonly type = 'server_error';
}

/** The request says something that cannot be served as it is. */
export class InvalidRequestError extends GatewayError {
  override readonly name: string = 'InvalidRequestError';
  override readonly status: number = 400;
  override readonly type: string = 'invalid_request_error';
  override readonly code: string | null;
  override readonly param: string | null;
  constructor(message: string, options: { param?: string | null; code?: string | null; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.param = options.param ?? null;
    this.code = options.code ?? null;
  }
}

export class ContextLengthExceededError extends InvalidRequestError {
  override readonly name = 'ContextLengthExceededError';
  constructor(message: string, param: string) {
    super(message, { param, code: 'context_length_exceeded' });
  }
}

export class ModelNotFoundError extends InvalidRequestError {
  override readonly name = 'ModelNotFoundError';
  override readonly status = 404;
  constructor(modelId: string) {
    super(
      `The model \`${modelId}\` does not exist or you do not have access to it. \`GET /v1/models\` lists the models that you can use.`,
      {
        param: 'model',
        code: 'model_not_found',
      },
    );
  }
}

/** A stored object that is not there, or not the caller's: the two look the same. */
export class NotFoundError extends InvalidRequestError {
  override readonly name = 'NotFoundError';
  override readonly status = 404;
}

export class RouteNotFoundError extends InvalidRequestError {
  override readonly name = 'RouteNotFoundError';
  override readonly status = 404;
  constructor(method: string, path: string) {
    super(`Invalid URL (${method} ${path}). \`GET /v1/models\` lists the models; the paths are in the README.`, { code: 'unknown_url' });
  }
}

export class MethodNotAllowedError extends InvalidRequestError {
  override readonly name = 'MethodNotAllowedError';
  override readonly status = 405;
  readonly allowed: readonly string[];
  constructor(method: string, path: string, allowed: readonly string[]) {
    super(`${path} does not answer ${method}. Use ${allowed.join(' or ')}.`, { code: 'method_not_allowed' });
    this.allowed = allowed;
  }
}

export class BodyTooLargeError extends InvalidRequestError {
  override readonly name = 'BodyTooLargeError';
  override readonly status = 413;
  constructor(limitBytes: number) {
    super(`The request body is larger than ${limitBytes} bytes. Send a shorter prompt, or raise MAX_BODY_BYTES on the gateway.`, {
      code: 'request_too_large',
    });
  }
}

export class UnsupportedMediaTypeError extends InvalidRequestError {
  override readonly name = 'UnsupportedMediaTypeError';
  override readonly status = 415;
  constructor() {
    super('The request body must be JSON: send the header `content-type: application/json`.', { code: 'unsupported_media_type' });
  }
}

/** The safety policy blocks what was sent. Says not what was found: an attacker would learn from it. */
export class ContentBlockedError extends InvalidRequestError {
  override readonly name = 'ContentBlockedError';
  constructor(param: string) {
    super('Your request was rejected by the safety policy of this service. Change what you ask for.', {
      param,
      code: 'content_policy_violation',
    });
  }
}

/** A policy wants a text judged and what judges it did not answer: it does not pass unjudged. */
export class SafetyUnavailableError extends UnavailableError {
  override readonly name = 'SafetyUnavailableError';
  override readonly code = 'safety_unavailable';
  override readonly retryAfterSeconds = 5;
  constructor(options: { cause?: unknown } = {}) {
    super('The safety check that your policy asks for is not available. Try again in 5 s.', options);
  }
}

/** Missing or wrong API key. */
export class AuthenticationError extends GatewayError {
  override readonly name: string = 'AuthenticationError';
  override readonly status = 401;
  override readonly type = 'invalid_request_error';
  override readonly code = 'invalid_api_key';
}

/** No capacity, throttled, starting, stalled or broken: the same request may succeed later, or elsewhere. */
export class EndpointUnavailableError extends GatewayError {
  override readonly name = 'EndpointUnavailableError';
  override readonly status: 429 | 502 | 503;
  override readonly type = 'server_error';
  override readonly code: 'endpoint_unavailable' | 'endpoint_overloaded' | 'endpoint_failed';
  override readonly retryAfterSeconds: number | undefined;
  /** What happened, for the log: never shown to a caller, never holds text. */
  readonly reason: EndpointFailure;
  constructor(reason: EndpointFailure, endpointName: string, options: { cause?: unknown; retryAfterSeconds?: number } = {}) {
    super(describeFailure(reason, endpointName), options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    const overloaded = reason === 'throttled' || reason === 'queue-full';
    this.status = overloaded ? 429 : isFault(reason) ? 502 : 503;
    this.code = overloaded ? 'endpoint_overloaded' : this.status === 502 ? 'endpoint_failed' : 'endpoint_unavailable';
    this.retryAfterSeconds = options.retryAfterSeconds ?? (this.status === 502 ? undefined : overloaded ? 1 : 10);
  }
}

/** The endpoint did not do its work, rather than not take it. */
function isFault(reason: EndpointFailure): boolean {
  return reason === 'broken' || reason === 'stalled' || reason === 'time-exceeded' || reason === 'model-error';
}

export type EndpointFailure =
  | 'no-capacity'
  | 'not-ready'
  | 'throttled'
  | 'queue-full'
  | 'unreachable'
  | 'model-error'
  | 'broken'
  | 'stalled'
  /** The answer took longer than SageMaker lets a stream take. */
  | 'time-exceeded';

function describeFailure(reason: EndpointFailure, endpointName: string): string {
  switch (reason) {
    case 'no-capacity':
      return `The model's endpoint ${endpointName} has no copy running yet. Try again after the time in Retry-After.`;
    case 'not-ready':
      return `The model's endpoint ${endpointName} is still loading. Try again after the time in Retry-After.`;
    case 'throttled':
    case 'queue-full':
      return `The model's endpoint ${endpointName} has as many requests as it takes. Try again after the time in Retry-After.`;
    case 'unreachable':
      return `The model's endpoint ${endpointName} cannot be reached. Try again later.`;
    case 'model-error':
    case 'broken':
    case 'stalled':
    case 'time-exceeded':
      return `The model's endpoint ${endpointName} failed while it worked on this request. Try again.`;
  }
}

/** The endpoint refused this request for what it says; another try would be refused too. Shown as 400 with the endpoint's own sentence. */
export class EndpointRefusedError extends InvalidRequestError {
  override readonly name = 'EndpointRefusedError';
}

/** The request went round the CDN. */
export class OriginError extends GatewayError {
  override readonly name = 'OriginError';
  override readonly status = 403;
  override readonly type = 'invalid_request_error';
  override readonly code = 'wrong_origin';
  constructor() {
    super('This address does not answer directly. Use the public address of this Penstock.');
  }
}

/** The gateway is shutting down: running streams end, new requests belong elsewhere. */
export class DrainingError extends UnavailableError {
  override readonly name = 'DrainingError';
  override readonly code = 'shutting_down';
  override readonly retryAfterSeconds = 1;
  constructor() {
    super('This gateway is shutting down. Try again.');
  }
}

/** Whoever runs the gateway lets it make no new answers, or this model none. */
export class OutOfServiceError extends UnavailableError {
  override readonly name = 'OutOfServiceError';
  override readonly code = 'out_of_service';
  override readonly retryAfterSeconds = 60;
}

/** The function may not run any longer: the answer is ended before Lambda would cut it without a word. */
export class DeadlineError extends GatewayError {
  override readonly name = 'DeadlineError';
  override readonly status = 504;
  override readonly type = 'server_error';
  override readonly code = 'deadline_exceeded';
  constructor() {
    super('This answer takes longer than one request may. Ask for fewer tokens with `max_tokens`.');
  }
}

/** An answer that no other process could begin was to be made after its request. */
export class HandOverError extends InvalidRequestError {
  override readonly name = 'HandOverError';
  constructor() {
    super("'background' needs 'stream' to be true for this model, or for a prompt as long as this: the request ends with its answer.", {
      param: 'background',
    });
  }
}

/** What is to be made later cannot be put into the queue. */
export class JobQueueUnavailableError extends UnavailableError {
  override readonly name = 'JobQueueUnavailableError';
  override readonly code = 'queue_unavailable';
  override readonly retryAfterSeconds = 1;
  constructor(options: { cause: unknown }) {
    super('The queue of background work cannot be reached. Try again in a moment.', options);
  }
}

/** The table cannot be reached or written: a full disk, a lost network, a throttled store. */
export class StoreUnavailableError extends UnavailableError {
  override readonly name = 'StoreUnavailableError';
  override readonly code = 'store_unavailable';
  override readonly retryAfterSeconds = 1;
  /** Names the store, for whoever runs the gateway. */
  readonly store: string;
  constructor(store: string, options: { cause?: unknown } = {}) {
    super("The gateway's store cannot be reached or written. Try again.", options);
    this.store = store;
  }
}

/** The key is good, but not for this. */
export class PermissionError extends GatewayError {
  override readonly name = 'PermissionError';
  override readonly status = 403;
  override readonly type = 'invalid_request_error';
  override readonly code = 'insufficient_permissions';
}

/** A limit per minute, or on requests at once, is reached: the same request is served later. */
export class RateLimitError extends GatewayError {
  override readonly name = 'RateLimitError';
  override readonly status = 429;
  /** OpenAI's two types. */
  override readonly type: 'requests' | 'tokens';
  override readonly code = 'rate_limit_exceeded';
  override readonly retryAfterSeconds: number | undefined;
  override readonly headers: Readonly<Record<string, string>>;
  constructor(
    message: string,
    options: { type: 'requests' | 'tokens'; retryAfterSeconds?: number; headers?: Readonly<Record<string, string>> },
  ) {
    super(message);
    this.type = options.type;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.headers = options.headers ?? {};
  }
}

/** A budget of a day, a month or a key's life is spent. */
export class QuotaExceededError extends GatewayError {
  override readonly name = 'QuotaExceededError';
  override readonly status = 429;
  override readonly type = 'insufficient_quota';
  override readonly code = 'insufficient_quota';
  override readonly retryAfterSeconds: number | undefined;
  override readonly headers: Readonly<Record<string, string>>;
  constructor(message: string, options: { retryAfterSeconds?: number | undefined; headers?: Readonly<Record<string, string>> } = {}) {
    super(message);
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.headers = options.headers ?? {};
  }
}

/** The lowest priorities are turned away first while there is too little capacity; a full queue turns everyone away. */
export class OverloadedError extends UnavailableError {
  override readonly name = 'OverloadedError';
  override readonly code = 'overloaded';
  override readonly retryAfterSeconds: number;
  constructor(message: string, retryAfterSeconds: number) {
    super(message);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** The same `Idempotency-Key` came with another body. */
export class IdempotencyConflictError extends InvalidRequestError {
  override readonly name = 'IdempotencyConflictError';
  override readonly status = 409;
  constructor() {
    super('This Idempotency-Key was used with another request. Use a new key for a new request.', { code: 'idempotency_key_reused' });
  }
}

/** This gateway keeps no text, and the request cannot be answered without. */
export class NothingIsKeptError extends InvalidRequestError {
  override readonly name = 'NothingIsKeptError';
  constructor(param: string | null = null) {
    super("This gateway keeps no text (zero retention). Send the whole conversation as 'input', and wait for the answer.", { param });
  }
}

export class GenerationNotFoundError extends InvalidRequestError {
  override readonly name = 'GenerationNotFoundError';
  override readonly status = 404;
  constructor() {
    super('There is no such generation, or its events are not kept any more.', { code: 'generation_not_found' });
  }
}

/** The caller, or the lease that ran out, ended it. */
export class GenerationCancelledError extends GatewayError {
  override readonly name = 'GenerationCancelledError';
  override readonly status = 499;
  override readonly type = 'invalid_request_error';
  override readonly code = 'generation_cancelled';
  constructor() {
    super('This generation was cancelled.');
  }
}

/** The process that worked on it is gone. */
export class GenerationLostError extends GatewayError {
  override readonly name = 'GenerationLostError';
  override readonly status = 502;
  override readonly type = 'server_error';
  override readonly code = 'generation_lost';
  constructor() {
    super('The gateway process that worked on this generation stopped before it was whole. Send the request again.');
  }
}

/** This process was silent for so long that another one went on with its work. Nobody is told: whoever reads is sent there. */
export class TakenOverError extends Error {
  override readonly name = 'TakenOverError';
}
