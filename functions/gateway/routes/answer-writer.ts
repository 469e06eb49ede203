import { createHash } from 'node:crypto';
import type { Room } from '../generation/room.ts';
import type { GenerationEvent, GenerationRequest } from '../pipeline/generation-request.ts';
import type { Ids } from '../services.ts';
import type { EventFraming } from './event-stream.ts';

/** Writes one answer in the words of its path. One of its methods is called, once. */
export interface AnswerWriter {
  readonly framing: EventFraming;
  /** What is streamed. */
  chunks(events: AsyncIterable<GenerationEvent>): AsyncIterable<unknown>;
  /** The whole answer, as JSON. */
  whole(events: AsyncIterable<GenerationEvent>): Promise<object>;
}

/**
 * How a path makes its writers, in this process and in one that goes on with the answer: from a state in JSON's words that is fixed when the
 * answer begins. The same state and the same events give the same bytes.
 */
export interface WriterKind<State> {
  /** Names it where the state is kept. */
  readonly name: string;
  create(room: Room, state: State, run: WriterRun): AnswerWriter;
}

export interface WriterRun {
  readonly request: GenerationRequest;
  readonly generationId: string;
}

/** Names that follow from the answer's own random one, so that they are the same whoever makes it. */
export function createDerivedIds(answerId: string): Ids {
  let count = 0;
  return {
    create(prefix) {
      count += 1;
      return `${prefix}${createHash('sha256').update(`${answerId} ${count}`).digest('base64url').slice(0, 24)}`;
    },
  };
}
