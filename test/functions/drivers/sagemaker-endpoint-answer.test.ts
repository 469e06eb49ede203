import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AnswerReader } from '../../../functions/drivers/sagemaker-endpoint-answer.ts';
import type { EndpointEvent } from '../../../functions/gateway/services.ts';
import { loadRecording, type Recording } from '../../support/vllm-recordings.ts';

/** The events and, last, what ended them. */
function read(contentType: string, parts: readonly Uint8Array[]): (EndpointEvent | string)[] {
  const reader = new AnswerReader({ contentType, endpointName: 'gpt', topLogprobs: 2 });
  const seen: (EndpointEvent | string)[] = [];
  try {
    for (const part of parts) for (const event of reader.push(part)) seen.push(event);
    for (const event of reader.finish()) seen.push(event);
  } catch (error) {
    seen.push(String(error));
  }
  return seen;
}

function cutAt(bytes: Uint8Array, offsets: readonly number[]): Uint8Array[] {
  const sorted = [...new Set(offsets.map((offset) => offset % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...sorted].map((start, index) => bytes.subarray(start, sorted[index] ?? bytes.length));
}

const bytesOf = (recording: Recording) => Buffer.from(recording.chunks.join(''));
const SSE = 'text/event-stream; charset=utf-8';

describe('AnswerReader', () => {
  it.each(['stream-eos', 'stream-emoji', 'stream-logprobs', 'stream-queue-full', 'error-vocabulary'])(
    'reads the same events however the bytes of %s are cut',
    (name) => {
      const bytes = bytesOf(loadRecording(name));
      const whole = read(SSE, [bytes]);
      expect(whole.length).toBeGreaterThan(0);
      fc.assert(
        fc.property(fc.array(fc.nat(), { maxLength: 40 }), (offsets) => {
          expect(read(SSE, cutAt(bytes, offsets))).toEqual(whole);
        }),
      );
      const single = Array.from(bytes, (_, offset) => bytes.subarray(offset, offset + 1));
      expect(read(SSE, single)).toEqual(whole);
    },
  );

  it('reads the same events from JSON lines, however they are cut', () => {
    const events = bytesOf(loadRecording('stream-emoji'));
    const text = events.toString().replaceAll('data: ', '').replaceAll('\n\n', '\n').replace('[DONE]\n', '');
    const whole = read(SSE, [events]);
    for (const form of [text, text.trimEnd(), text.replaceAll('\n', '\r\n')]) {
      fc.assert(
        fc.property(fc.array(fc.nat(), { maxLength: 40 }), (offsets) => {
          expect(read('application/jsonlines', cutAt(Buffer.from(form), offsets))).toEqual(whole);
        }),
        { numRuns: 30 },
      );
    }
  });

  it('reads past comments, other fields and other line ends', () => {
    const bytes = bytesOf(loadRecording('stream-length'));
    const dressed = `: keep-alive\n\n${bytes.toString().replaceAll('data: ', 'event: x\nid: 1\ndata:').replaceAll('\n', '\r\n')}`;
    expect(read(SSE, [Buffer.from(dressed)])).toEqual(read(SSE, [bytes]));
  });

  it('calls every beginning of an answer broken that lacks its finish reason', () => {
    const bytes = bytesOf(loadRecording('stream-length'));
    const finish = bytes.toString().indexOf('"finish_reason":"length"');
    fc.assert(
      fc.property(fc.nat({ max: finish }), (length) => {
        expect(read(SSE, [bytes.subarray(0, length)]).at(-1)).toMatch(/^EndpointUnavailableError/);
      }),
    );
  });

  it.each(['{"choices":[{"index":0,"text":"","token_ids":[-1]}]}', '[]', 'null', '7', '{}', '{"choices":[{"token_ids":[1]}]}'])(
    'calls an answer broken that has another shape: %s',
    (json) => {
      expect(read(SSE, [Buffer.from(`data: ${json}\n\n`)])).toEqual([expect.stringMatching(/^EndpointUnavailableError/)]);
    },
  );

  it('takes what comes after [DONE] for nothing', () => {
    const bytes = bytesOf(loadRecording('stream-length'));
    expect(read(SSE, [bytes, Buffer.from('data: {"error":{"message":"late","code":500}}\n\n')])).toEqual(read(SSE, [bytes]));
  });

  it('calls an answer broken that the engine aborted', () => {
    const aborted = bytesOf(loadRecording('stream-length')).toString().replace('"finish_reason":"length"', '"finish_reason":"abort"');
    expect(read(SSE, [Buffer.from(aborted)]).at(-1)).toMatch(/^EndpointUnavailableError/);
  });
});
