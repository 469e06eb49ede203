import { Readable } from 'node:stream';
import { EventStreamCodec, EventStreamMarshaller } from '@smithy/core/event-streams';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFrameMarshaller } from '../../../functions/drivers/event-stream-frames.ts';

const toText = (bytes: Uint8Array | string) => (typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('utf8'));
const fromText = (text: string) => Buffer.from(text, 'utf8');
const codec = new EventStreamCodec(toText, fromText);
const ours = createFrameMarshaller({ utf8Encoder: toText, utf8Decoder: fromText });
const sdks = new EventStreamMarshaller({ utf8Encoder: toText, utf8Decoder: fromText });

type Deserialize = Parameters<typeof sdks.deserialize<object>>[1];

/** As the SDK's own does with the events of SageMaker's stream. */
const deserialize: Deserialize = async (event) => {
  const [[name, message] = ['', undefined]] = Object.entries(event);
  if (name === 'PayloadPart') return { PayloadPart: { Bytes: message?.body } };
  return name === 'ModelStreamError'
    ? { ModelStreamError: new Error(`model stream error: ${toText(message?.body ?? '')}`) }
    : { $unknown: event };
};

function text(values: Readonly<Record<string, string>>) {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { type: 'string' as const, value }]));
}

const payload = (body: Uint8Array, more: Readonly<Record<string, string>> = {}) =>
  codec.encode({ headers: text({ ':message-type': 'event', ':event-type': 'PayloadPart', ...more }), body });
const exception = (said: string) =>
  codec.encode({ headers: text({ ':message-type': 'exception', ':exception-type': 'ModelStreamError' }), body: fromText(said) });
const unknown = () => codec.encode({ headers: text({ ':message-type': 'event', ':event-type': 'News' }), body: new Uint8Array() });
const withNumber = (body: Uint8Array) =>
  codec.encode({
    headers: { count: { type: 'integer', value: 7 }, ...text({ ':event-type': 'PayloadPart', ':message-type': 'event' }) },
    body,
  });

const frame = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 40 }).map((body) => payload(body)) },
  fc.uint8Array({ maxLength: 10 }).map((body) => payload(body, { ':content-type': 'application/octet-stream' })),
  fc.uint8Array({ maxLength: 10 }).map(withNumber),
  fc.constant(null).map(unknown),
  fc.string({ maxLength: 5 }).map(exception),
);
const cuts = fc.array(fc.nat({ max: 60 }), { minLength: 1, maxLength: 20 });

/** In pieces of these lengths, over and over. */
async function* cut(bytes: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const length = (lengths[turn % lengths.length] ?? 0) + (turn % lengths.length === 0 ? 1 : 0);
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

/** The bytes of all payloads and how the stream ended. */
async function read(stream: AsyncIterable<object>): Promise<{ bytes: string; end: string }> {
  let bytes = '';
  try {
    for await (const event of stream) {
      const part: unknown = 'PayloadPart' in event ? event.PayloadPart : undefined;
      if (typeof part !== 'object' || part === null || !('Bytes' in part) || !(part.Bytes instanceof Uint8Array))
        throw new Error('no part');
      bytes += Buffer.from(part.Bytes).toString('hex');
    }
    return { bytes, end: 'end' };
  } catch (error) {
    return { bytes, end: error instanceof Error ? error.message : 'unknown' };
  }
}

describe('the frames of an event stream', () => {
  it('say what the SDK’s own reader reads in them, wherever the connection cuts them', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 8 }), cuts, async (frames, lengths) => {
        const bytes = Buffer.concat(frames);
        const expected = await read(sdks.deserialize(Readable.from(cut(bytes, lengths)), deserialize));
        expect(await read(ours.deserialize(cut(bytes, lengths), deserialize))).toEqual(expected);
      }),
    );
  });

  it('end with an error after what came whole, when a byte was changed or the rest is missing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: 1, maxLength: 4 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        cuts,
        async (bodies, place, flipped, isCut, lengths) => {
          const frames = bodies.map((body) => payload(body));
          const whole = Buffer.concat(frames);
          const at = place % whole.length;
          const damaged = isCut ? whole.subarray(0, at) : Buffer.from(whole).fill((whole[at] ?? 0) ^ flipped, at, at + 1);
          const { bytes, end } = await read(ours.deserialize(cut(damaged, lengths), deserialize));
          let before = 0;
          let length = 0;
          while (before < frames.length && length + (frames[before]?.length ?? 0) <= at) length += frames[before++]?.length ?? 0;
          expect(bytes).toBe(
            bodies
              .slice(0, before)
              .map((body) => Buffer.from(body).toString('hex'))
              .join(''),
          );
          expect(end === 'end').toBe(isCut && length === at);
        },
      ),
    );
  });
});
