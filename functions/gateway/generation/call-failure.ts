/** What a failed endpoint call means for the generation. */
import { EndpointUnavailableError, GatewayError, GenerationCancelledError } from '../errors.ts';
import type { CallOutcome } from './call-record.ts';
import type { CallFailure } from './machine.ts';

export function classify(error: unknown): CallFailure {
  if (!(error instanceof EndpointUnavailableError)) return error instanceof GatewayError ? 'refused' : 'broken';
  switch (error.reason) {
    case 'no-capacity':
    case 'not-ready':
    case 'queue-full':
    case 'throttled':
      return 'capacity';
    default:
      return 'broken';
  }
}

/** The stream reached the time that SageMaker gives one: nobody's fault. */
export function isTimeLimit(error: unknown): boolean {
  return error instanceof EndpointUnavailableError && error.reason === 'time-exceeded';
}

/** The client left, or somebody cancelled. */
export function isAbort(error: unknown): boolean {
  return error instanceof GenerationCancelledError || (error instanceof DOMException && error.name === 'AbortError');
}

/** As the ledger line tells it. */
export function outcomeOf(error: unknown): CallOutcome {
  if (error instanceof EndpointUnavailableError) return error.reason;
  return error instanceof GatewayError ? 'refused' : 'broken';
}
