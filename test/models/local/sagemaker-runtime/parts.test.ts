import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CopyPool } from '../../../../models/local/sagemaker-runtime/copy-pool.ts';
import { EventCounter } from '../../../../models/local/sagemaker-runtime/event-counter.ts';
import { FaultDealer, parseFaultPlan } from '../../../../models/local/sagemaker-runtime/faults.ts';
import { createRandom, cutHostile } from '../../../../models/local/sagemaker-runtime/hostile-cuts.ts';

describe('hostile cuts', () => {
  it('lose and invent nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), fc.integer(), (bytes, seed) => {
        expect(Buffer.concat(cutHostile(bytes, createRandom(seed)))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it('cut inside a character of several bytes whenever there is one', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), fc.integer(), (text, seed) => {
        const bytes = Buffer.from(text.toWellFormed());
        const isWhole = (part: Uint8Array) => Buffer.from(part).toString('utf8').includes('\ufffd') === false;
        fc.pre(!text.includes('\ufffd') && bytes.length > text.length);
        expect(cutHostile(bytes, createRandom(seed)).every(isWhole)).toBe(false);
      }),
    );
  });

  it('are the same for the same seed', () => {
    const cut = () => cutHostile(Buffer.from('data: {"text":"héllo"}\n\n'), createRandom(42)).map((part) => part.length);
    expect(cut()).toEqual(cut());
  });
});

describe('EventCounter', () => {
  /** The first events of the text by a reading of the whole. */
  const prefix = (events: readonly string[], limit: number) => events.slice(0, limit).join('');

  it.each([
    ['text/event-stream', ['data: a\n\n', ': comment\n\n', 'data: b\r\n\r\n', 'data: c\ndata: d\n\n']],
    ['application/jsonlines', ['{"a":1}\n', '{"b":2}\r\n', '{}\n']],
  ])('finds the end of an event of %s however the bytes are cut', (contentType, events) => {
    const bytes = Buffer.from(events.join(''));
    fc.assert(
      fc.property(fc.array(fc.nat({ max: bytes.length })), fc.integer({ min: 1, max: events.length }), (offsets, limit) => {
        const counter = new EventCounter(contentType);
        const cuts = [0, ...offsets.sort((a, b) => a - b), bytes.length];
        let passed = '';
        for (const [index, start] of cuts.entries()) {
          const chunk = bytes.subarray(start, cuts[index + 1] ?? bytes.length);
          passed += chunk.subarray(0, counter.bytesWithin(chunk, limit)).toString();
        }
        expect(passed).toBe(prefix(events, limit));
        expect(counter.reached(limit)).toBe(true);
      }),
    );
  });
});

describe('CopyPool', () => {
  const urls = ['http://a', 'http://b', 'http://c'];

  it('gives a call to the copy with the fewest calls', () => {
    const pool = new CopyPool({ containers: urls });
    using _a = pool.occupy('http://a');
    using _c = pool.occupy('http://c');
    expect(pool.candidates(undefined, 0)[0]).toBe('http://b');
  });

  it('spreads calls over copies that are equally busy', () => {
    const pool = new CopyPool({ containers: urls });
    expect(new Set([1, 2, 3].map(() => pool.candidates(undefined, 0)[0]))).toEqual(new Set(urls));
  });

  it('gives calls of one affinity to one copy', () => {
    const pool = new CopyPool({ containers: urls });
    const chosen = (affinity: string) => pool.candidates(affinity, 0)[0];
    const first = chosen('session-1');
    using _busy = pool.occupy(first ?? '');
    expect(chosen('session-1')).toBe(first);
    expect(new Set(Array.from({ length: 20 }, (_, index) => chosen(`session-${index}`))).size).toBeGreaterThan(1);
  });

  it('has copies again after the load time, once a call was refused', () => {
    const pool = new CopyPool({ containers: urls, copies: 0, loadSeconds: 2, scaleUpWhenRefused: true });
    expect(pool.candidates(undefined, 0)).toEqual([]);
    pool.refused(1000);
    pool.refused(2500); // a second refusal does not start the load again
    expect(pool.candidates(undefined, 2999)).toEqual([]);
    expect(pool.candidates(undefined, 3000)).toHaveLength(3);
  });

  it('stays at zero when nothing starts copies', () => {
    const pool = new CopyPool({ containers: urls, copies: 0 });
    pool.refused(0);
    expect(pool.candidates(undefined, 1e9)).toEqual([]);
  });

  it('comes back by itself from a reload', () => {
    const pool = new CopyPool({ containers: urls });
    pool.reload(5, 0);
    expect(pool.candidates(undefined, 4999)).toEqual([]);
    expect(pool.candidates(undefined, 5000)).toHaveLength(3);
  });
});

describe('FaultDealer', () => {
  const call = { endpoint: 'gpt', inferenceComponent: 'base', streams: true };

  it('skips and counts', () => {
    const dealer = new FaultDealer(parseFaultPlan({ faults: [{ kind: 'throttling', skip: 2, count: 2 }] }));
    expect([1, 2, 3, 4, 5].map(() => dealer.deal(call)?.kind)).toEqual([undefined, undefined, 'throttling', 'throttling', undefined]);
    expect(dealer.taken).toEqual([2]);
  });

  it('takes only the calls that a fault names', () => {
    const dealer = new FaultDealer(
      parseFaultPlan({
        faults: [
          { kind: 'throttling', endpoint: 'other' },
          { kind: 'internal-failure', inferenceComponent: 'adapter' },
          { kind: 'stall', afterEvents: 1 },
        ],
      }),
    );
    expect(dealer.deal(call)?.kind).toBe('stall');
    expect(dealer.deal({ ...call, streams: false })).toBeUndefined();
    expect(dealer.deal({ ...call, inferenceComponent: 'adapter' })?.kind).toBe('internal-failure');
  });

  it('draws by its seed', () => {
    const draw = (seed: number) => {
      const dealer = new FaultDealer(parseFaultPlan({ seed, faults: [{ kind: 'throttling', probability: 0.5 }] }));
      return Array.from({ length: 64 }, () => dealer.deal(call) !== undefined);
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    expect(draw(1)).toContain(true);
    expect(draw(1)).toContain(false);
  });
});
