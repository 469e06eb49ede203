/** A container's bytes, as PayloadParts of an event stream, with what a fault plan does to them. */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventCounter } from './event-counter.ts';
import { corruptPart, exceptionFrame, payloadPart } from './event-frames.ts';
import type { Fault } from './faults.ts';
import { cutHostile } from './hostile-cuts.ts';
import { STREAM_BROKEN, STREAM_FAILURE, STREAM_TIME_EXCEEDED } from './runtime-error.ts';

export interface StreamOptions {
  readonly fault: Fault | undefined;
  /** Cuts parts at hostile places by this; `undefined` makes each chunk one part. */
  readonly cutRandom: (() => number) | undefined;
  /** The caller left, or the time is up. */
  readonly stopped: AbortSignal;
  readonly timedOut: () => boolean;
}

/** A reset discards what its receiver has not read yet: it comes after a moment, so that the events before it mostly arrive. */
const READ_BEFORE_RESET_MS = 30;

type StreamFaultPlan = Extract<Fault, { afterEvents: number }>;

/** Sends the answer and ends it, however the container's side ends. Never rejects: the head is sent already. */
export async function streamAnswer(message: IncomingMessage, response: ServerResponse, options: StreamOptions): Promise<void> {
  const { cutRandom, stopped } = options;
  const fault = options.fault !== undefined && 'afterEvents' in options.fault ? options.fault : undefined;
  const counter = new EventCounter(message.headers['content-type'] ?? '');
  const send = async (bytes: Uint8Array) => {
    if (bytes.length === 0) return;
    const parts = cutRandom === undefined ? [bytes] : cutHostile(bytes, cutRandom);
    if (!response.write(Buffer.concat(parts.map(payloadPart)))) await once(response, 'drain', { signal: stopped });
  };
  try {
    if (fault?.afterEvents === 0) return await breakStream(fault, new Uint8Array(), response, stopped);
    for await (const chunk of message as AsyncIterable<Uint8Array>) {
      if (fault === undefined) {
        await send(chunk);
        continue;
      }
      const within = counter.bytesWithin(chunk, fault.afterEvents);
      await send(chunk.subarray(0, within));
      if (counter.reached(fault.afterEvents)) return await breakStream(fault, chunk.subarray(within), response, stopped);
    }
    response.end();
  } catch {
    if (stopped.aborted && !options.timedOut()) return; // the caller left
    response.end(exceptionFrame(options.timedOut() ? STREAM_TIME_EXCEEDED : STREAM_BROKEN));
  }
}

/** @throws when a stalled stream is stopped. */
async function breakStream(fault: StreamFaultPlan, rest: Uint8Array, response: ServerResponse, stopped: AbortSignal): Promise<void> {
  switch (fault.kind) {
    case 'stream-broken':
      response.end(exceptionFrame(STREAM_BROKEN));
      return;
    case 'stream-time-exceeded':
      response.end(exceptionFrame(STREAM_TIME_EXCEEDED));
      return;
    case 'stream-failure':
      response.end(exceptionFrame(STREAM_FAILURE));
      return;
    case 'cut':
      response.end();
      return;
    case 'corrupt-frame':
      response.end(corruptPart(rest));
      return;
    case 'reset':
      await sleep(READ_BEFORE_RESET_MS, undefined, { signal: stopped });
      response.socket?.resetAndDestroy();
      return;
    case 'stall':
      stopped.throwIfAborted();
      await once(stopped, 'abort');
      stopped.throwIfAborted();
  }
}
