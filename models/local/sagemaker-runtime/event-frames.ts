/** Frames of application/vnd.amazon.eventstream, as InvokeEndpointWithResponseStream sends them. */
import { crc32 } from 'node:zlib';
import { EventStreamCodec } from '@smithy/core/event-streams';
import type { StreamFault } from './runtime-error.ts';

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString('utf8'),
  (text) => Buffer.from(text, 'utf8'),
);

function encode(headers: Readonly<Record<string, string>>, body: Uint8Array): Uint8Array {
  return codec.encode({ headers: text(headers), body });
}

function text(headers: Readonly<Record<string, string>>) {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, { type: 'string' as const, value }]));
}

/** Those of every part are the same; there is a part, or several, for each token. */
const PART_HEADERS = codec.formatHeaders(
  text({ ':message-type': 'event', ':event-type': 'PayloadPart', ':content-type': 'application/octet-stream' }),
);
/** Length, length of the headers, and the checksum of both. */
const PRELUDE = 12;
const CHECKSUM = 4;

export function payloadPart(bytes: Uint8Array): Uint8Array {
  const bodyAt = PRELUDE + PART_HEADERS.length;
  const checkedLength = bodyAt + bytes.length;
  const frame = Buffer.allocUnsafe(checkedLength + CHECKSUM);
  frame.writeUInt32BE(frame.length, 0);
  frame.writeUInt32BE(PART_HEADERS.length, 4);
  frame.writeUInt32BE(crc32(frame.subarray(0, 8)), 8);
  frame.set(PART_HEADERS, PRELUDE);
  frame.set(bytes, bodyAt);
  frame.writeUInt32BE(crc32(frame.subarray(0, checkedLength)), checkedLength);
  return frame;
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
