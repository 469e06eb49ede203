import { parseInvocationErrorBody } from '../../models/invocation.ts';
import { type EndpointFailure, EndpointRefusedError, EndpointUnavailableError, GatewayError } from '../gateway/errors.ts';

/** Longest sentence of a container that a caller is shown. */
const SHOWN_LENGTH = 300;

/** What the container itself said: `{"error": {"message", "code"}}`, of vLLM's and OpenAI's form. */
export function containerFailure(status: number, message: string, endpointName: string, cause?: unknown): GatewayError {
  const options = cause === undefined ? {} : { cause };
  switch (status) {
    case 400:
    case 413:
    case 422:
      return new EndpointRefusedError(describeRefusal(message), options);
    case 429:
      return new EndpointUnavailableError('throttled', endpointName, options);
    case 503: // vLLM: "The engine is currently busy"
      return new EndpointUnavailableError('queue-full', endpointName, options);
    case 0: // SageMaker: the container gave no answer in time
    case 408:
    case 504:
      return new EndpointUnavailableError('stalled', endpointName, options);
    default:
      return new EndpointUnavailableError('model-error', endpointName, options);
  }
}

/** Turns whatever the SDK throws into ours. Names and fields: the service model of SageMaker Runtime (2017-05-13). */
export function awsFailure(error: unknown, endpointName: string, answerHasBegun: boolean): GatewayError {
  if (error instanceof GatewayError) return error;
  const { name, message, fields } = describeError(error);
  if (name === 'ModelError') {
    const original = fields['OriginalMessage'];
    const status = fields['OriginalStatusCode'];
    return containerFailure(
      typeof status === 'number' ? status : 500,
      errorMessageIn(typeof original === 'string' ? original : ''),
      endpointName,
      error,
    );
  }
  return new EndpointUnavailableError(reasonFor(name, message, fields, answerHasBegun), endpointName, { cause: error });
}

function reasonFor(name: string, message: string, fields: Readonly<Record<string, unknown>>, answerHasBegun: boolean): EndpointFailure {
  switch (name) {
    case 'ValidationError':
      // Zero copies have no error of their own: "Inference Component has no capacity to process this request."
      return /no capacity/i.test(message) ? 'no-capacity' : 'unreachable';
    case 'ModelNotReadyException':
      return 'not-ready';
    case 'ThrottlingException':
    case 'TooManyRequestsException':
      return 'throttled';
    case 'ModelStreamError':
      return fields['ErrorCode'] === 'ModelInvocationTimeExceeded' ? 'time-exceeded' : 'broken';
    case 'InternalStreamFailure':
      return 'broken';
    default:
      // A connection that broke, a frame with a wrong checksum; or before the answer 5xx, credentials, signatures, the network.
      return answerHasBegun ? 'broken' : 'unreachable';
  }
}

function describeError(error: unknown): { name: string; message: string; fields: Readonly<Record<string, unknown>> } {
  if (!(error instanceof Error)) return { name: 'unknown', message: '', fields: {} };
  return { name: error.name, message: error.message, fields: { ...error } };
}

/** The container's own sentence in a body of vLLM's form, or nothing. */
function errorMessageIn(body: string): string {
  try {
    return parseInvocationErrorBody(JSON.parse(body))?.message ?? '';
  } catch {
    return '';
  }
}

/** A validator's report repeats its input, which is the prompt: such a sentence is not passed on. */
function describeRefusal(message: string): string {
  const sentence = message.split('\n', 1)[0]?.slice(0, SHOWN_LENGTH) ?? '';
  if (sentence === '' || /input['"]|validation error/i.test(sentence)) return "The model's endpoint refused this request.";
  return sentence;
}
