/**
 * Reads the frames of application/vnd.amazon.eventstream as they come: what one read of the connection brought is one part, whatever number of frames
 * it was in, and no promise is waited for between them. The SDK's own reader hands each frame through three generators and a schema. What is no
 * payload (an exception inside the stream) still goes to that reader.
 * https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html
 */
import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import { EventStreamMarshaller, type EventStreamMarshallerOptions } from '@smithy/core/event-streams';

/** Length, length of the headers, and the checksum of both. */
const PRELUDE = 12;
const CHECKSUM = 4;
/** AWS sends none that is longer. */
const LONGEST_FRAME = 24 * 1024 * 1024;
const PAYLOAD_EVENT = 'PayloadPart';

type Deserialize<T> = Parameters<typeof EventStreamMarshaller.prototype.deserialize<T>>[1];

/** For the SDK's client. `deserialize` gives `{ PayloadPart: { Bytes } }`, the one event of the one stream that SageMaker Runtime has. */
export function createFrameMarshaller(options: EventStreamMarshallerOptions) {
  const marshaller = new EventStreamMarshaller(options);
  return {
    serialize: marshaller.serialize.bind(marshaller),
    deserialize: <T>(body: AsyncIterable<Uint8Array>, deserialize: Deserialize<T>): AsyncIterable<T> => ({
      [Symbol.asyncIterator]: () => readParts(body, (frame) => marshaller.deserialize(Readable.from([frame]), deserialize)),
    }),
  };
}

/** @throws a frame is broken off or was changed on the way; what came whole before it has been given. */
async function* readParts<T>(body: AsyncIterable<Uint8Array>, readOther: (frame: Uint8Array) => AsyncIterable<T>): AsyncGenerator<T> {
  const cutter = new FrameCutter();
  for await (const chunk of body) {
    const payloads: Uint8Array[] = [];
    let other: Uint8Array | undefined;
    let failure: unknown;
    cutter.push(chunk);
    do {
      try {
        other = cutter.takePayloads(payloads);
      } catch (error) {
        failure = error;
      }
      if (payloads.length > 0) yield { [PAYLOAD_EVENT]: { Bytes: joined(payloads.splice(0)) } } as T; // the SDK's type for it
      if (failure !== undefined) throw failure;
      if (other !== undefined) yield* readOther(other);
    } while (other !== undefined);
  }
  if (cutter.isWithin) throw new Error('Truncated event message received.');
}

class FrameCutter {
  #bytes: Buffer = Buffer.alloc(0);
  /** Those of payloads are the same in every frame. */
  #payloadHeaders: Buffer | undefined;

  get isWithin(): boolean {
    return this.#bytes.length > 0;
  }

  push(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
  }

  /** Puts the payloads of the whole frames that are there into `payloads`, up to a frame of another kind, which is the result. */
  takePayloads(payloads: Uint8Array[]): Uint8Array | undefined {
    for (;;) {
      const frame = this.#takeFrame();
      if (frame === undefined) return undefined;
      const bodyAt = PRELUDE + frame.readUInt32BE(4);
      const headers = frame.subarray(PRELUDE, bodyAt);
      if (this.#payloadHeaders?.equals(headers) !== true) {
        if (!isPayload(headers)) return frame;
        this.#payloadHeaders = headers;
      }
      payloads.push(frame.subarray(bodyAt, frame.length - CHECKSUM));
    }
  }

  #takeFrame(): Buffer | undefined {
    const bytes = this.#bytes;
    if (bytes.length < PRELUDE) return undefined;
    const length = bytes.readUInt32BE(0);
    const headersLength = bytes.readUInt32BE(4);
    if (crc32(bytes.subarray(0, 8)) !== bytes.readUInt32BE(8)) throw new Error('The checksum of an event message’s prelude is wrong.');
    if (length > LONGEST_FRAME || length < PRELUDE + headersLength + CHECKSUM)
      throw new Error('An event message has an impossible length.');
    if (bytes.length < length) return undefined;
    const frame = bytes.subarray(0, length);
    this.#bytes = bytes.subarray(length);
    const checkedLength = length - CHECKSUM;
    if (crc32(frame.subarray(0, checkedLength)) !== frame.readUInt32BE(checkedLength))
      throw new Error('The checksum of an event message is wrong.');
    return frame;
  }
}

/** Its kind stands in headers of text: a length, the name, a 7 for text, two bytes of length, the value. */
function isPayload(headers: Buffer): boolean {
  const values = new Map<string, string>();
  for (let at = 0; at < headers.length; ) {
    const nameLength = headers[at] ?? 0;
    const typeAt = at + 1 + nameLength;
    if (headers[typeAt] !== TEXT || typeAt + 3 > headers.length) return false;
    const valueAt = typeAt + 3;
    const valueEnd = valueAt + headers.readUInt16BE(typeAt + 1);
    values.set(headers.toString('utf8', at + 1, typeAt), headers.toString('utf8', valueAt, valueEnd));
    at = valueEnd;
  }
  return values.get(':message-type') === 'event' && values.get(':event-type') === PAYLOAD_EVENT;
}

const TEXT = 7;

function joined(payloads: readonly Uint8Array[]): Uint8Array {
  const [first] = payloads;
  return first !== undefined && payloads.length === 1 ? first : Buffer.concat(payloads);
}
