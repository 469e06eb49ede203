/** The one place that writes an error's wire shape, streamed or not. https://platform.openai.com/docs/guides/error-codes */
import { GatewayError, MethodNotAllowedError } from '../errors.ts';

export interface ErrorBody {
  readonly error: { readonly message: string; readonly type: string; readonly param: string | null; readonly code: string | null };
}

/** What is not an answer of ours is a bug or an outage: the caller learns the request id and nothing else. */
export function encodeError(error: unknown, requestId: string): ErrorBody {
  if (error instanceof GatewayError) {
    return { error: { message: error.message, type: error.type, param: error.param, code: error.code } };
  }
  return {
    error: {
      message: `The server had an error while processing your request. Try again, and report the request id ${requestId} if it persists.`,
      type: 'server_error',
      param: null,
      code: 'internal_error',
    },
  };
}

export function errorResponse(error: unknown, requestId: string): Response {
  const headers = new Headers({ 'content-type': 'application/json', ...(error instanceof GatewayError ? error.headers : {}) });
  if (error instanceof MethodNotAllowedError) headers.set('allow', error.allowed.join(', ')); // RFC 9110 15.5.6
  if (error instanceof GatewayError && error.retryAfterSeconds !== undefined) headers.set('retry-after', String(error.retryAfterSeconds));
  if (error instanceof GatewayError && error.status === 401 && !headers.has('www-authenticate')) headers.set('www-authenticate', 'Bearer'); // RFC 9110 15.5.2
  const status = error instanceof GatewayError ? error.status : 500;
  return new Response(JSON.stringify(encodeError(error, requestId)), { status, headers });
}
