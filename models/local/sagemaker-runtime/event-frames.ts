/** Frames of application/vnd.amazon.eventstream, as InvokeEndpointWithResponseStream sends them. */
import { EventStreamCodec } from '@smithy/core/event-streams';
import type { StreamFault } from './runtime-error.ts';

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString('utf8'),
  (text) => Buffer.from(text, 'utf8'),
);

function encode(headers: Readonly<Record<string, string>>, body: Uint8Array): Uint8Array {
  return codec.encode({
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, { type: 'string', value }])),
    body,
  });
}

export function payloadPart(bytes: Uint8Array): Uint8Array {
  return encode({ ':message-type': 'event', ':event-type': 'PayloadPart', ':content-type': 'application/octet-stream' }, bytes);
}

/** A frame whose checksum is wrong: what a broken proxy or cable delivers. */
export function corruptPart(bytes: Uint8Array): Uint8Array {
  const frame = payloadPart(bytes);
  frame[frame.length - 1] = (frame[frame.length - 1] ?? 0) ^ 1;
  return frame;
}

export function exceptionFrame(fault: StreamFault): Uint8Array {
  const body = { Message: fault.message, ...(fault.errorCode === undefined ? {} : { ErrorCode: fault.errorCode }) };
  return encode(
    { ':message-type': 'exception', ':exception-type': fault.exception, ':content-type': 'application/json' },
    Buffer.from(JSON.stringify(body)),
  );
}
