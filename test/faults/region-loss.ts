/**
 * `npm run drill:region`: the loss of a region, step by step, with two regions on this machine (`test/support/two-regions.ts`). Each step says what
 * was seen, and fails when a client saw an error, or a text that is not the uninterrupted one. `docs/operations.md` has the same drill for AWS.
 */
import assert from 'node:assert/strict';
import { MODEL, PROMPT, readStream } from '../support/generation-gateway.ts';
import { loadModelTokenizer } from '../support/scripted-model.ts';
import { toyAnswer } from '../support/toy-container.ts';
import { type Region, startTwoRegions, type TwoRegions } from '../support/two-regions.ts';

const LENGTH = 24;
const STREAMS = 6;
const BODY = { model: MODEL, prompt: PROMPT, max_tokens: LENGTH, temperature: 0, stream: true };
/** Longer than a circuit stays open after so few failures. */
const PAUSE_MS = 5_000;
/** Longer than a silent process counts as alive. */
const LEASE_MS = 20_000;

export interface DrillStep {
  readonly what: string;
  /** @returns what was seen. @throws when it is not as it should be. */
  run(regions: TwoRegions, expected: string): Promise<string>;
}

/** What an uninterrupted run says, by the toy model's own rule and the model's own vocabulary. */
export async function expectedText(): Promise<string> {
  return (await loadModelTokenizer()).decode(toyAnswer(PROMPT, LENGTH));
}

function ask(regions: TwoRegions, headers: Record<string, string> = {}): Promise<Response> {
  return regions.request('POST', '/v1/completions', { body: BODY, headers });
}

async function check(answers: readonly (Response | Promise<Response>)[], expected: string): Promise<void> {
  for (const answer of await Promise.all(answers)) {
    assert.equal(answer.status, 200);
    const { text, finishReason, error } = await readStream(answer);
    assert.deepEqual({ text, finishReason, error }, { text: expected, finishReason: 'length', error: undefined });
  }
}

/** How many calls each region's endpoints got meanwhile. */
async function counting({ home, other }: TwoRegions, run: () => Promise<unknown>): Promise<readonly [home: number, other: number]> {
  const before = [home.container.requests.length, other.container.requests.length] as const;
  await run();
  return [home.container.requests.length - before[0], other.container.requests.length - before[1]];
}

async function untilBegun({ container }: Region, calls: number): Promise<void> {
  while (container.requests.length < calls) await new Promise((resolve) => setImmediate(resolve));
}

/** Streams that have got some of their tokens, and stand still. */
async function startStreams(regions: TwoRegions, count: number, headers: Record<string, string> = {}): Promise<Response[]> {
  const { home } = regions;
  home.container.holdAfter(7);
  const begun = home.container.requests.length + count;
  const answers = await Promise.all(Array.from({ length: count }, () => ask(regions, headers)));
  await untilBegun(home, begun);
  return answers;
}

export const DRILL: readonly DrillStep[] = [
  {
    what: 'all is well: callers are answered in the region that is near them',
    async run(regions, expected) {
      const [home, other] = await counting(regions, () => check([ask(regions), ask(regions)], expected));
      assert.deepEqual([home, other], [2, 0]);
      return `${home} answers in ${regions.home.name}, ${other} in ${regions.other.name}`;
    },
  },
  {
    what: 'the region is out of capacity: requests spill over to the other one',
    async run(regions, expected) {
      await regions.home.setFaults({ kind: 'model-not-ready' });
      const [home, other] = await counting(regions, () => check([ask(regions), ask(regions), ask(regions)], expected));
      assert.deepEqual([home, other], [0, 3]);
      await regions.home.setFaults();
      regions.clock.at += PAUSE_MS;
      const back = await counting(regions, () => check([ask(regions)], expected));
      assert.deepEqual(back, [1, 0]);
      return `${other} answers in ${regions.other.name} without an error, and in ${regions.home.name} again once there was room`;
    },
  },
  {
    what: `the region's endpoints are lost while ${STREAMS} streams run: they go on, and new requests are answered`,
    async run(regions, expected) {
      const running = await startStreams(regions, STREAMS);
      const [, other] = await counting(regions, async () => {
        const reading = check(running, expected);
        await regions.home.loseEndpoints();
        regions.home.container.release();
        await reading;
        regions.clock.at += 1_000;
        await check([ask(regions), ask(regions)], expected);
      });
      assert.equal(other, STREAMS + 2);
      return `${STREAMS} streams ended with the text of an uninterrupted run, 2 new ones were answered, no client saw an error`;
    },
  },
  {
    what: 'the endpoints come back: requests go home',
    async run(regions, expected) {
      await regions.home.recover();
      regions.clock.at += 120_000; // a circuit's longest pause
      const [home, other] = await counting(regions, () => check([ask(regions), ask(regions)], expected));
      assert.deepEqual([home, other], [2, 0]);
      return `${home} answers in ${regions.home.name}`;
    },
  },
  {
    what: 'the whole region is lost, gateways too: drained at the CDN, clients that may come back find their answers in the other one',
    async run(regions, expected) {
      const { home, other } = regions;
      const [answer] = await startStreams(regions, 1, { 'x-penstock-lease': '600' });
      assert(answer?.body);
      const reader = answer.body.getReader();
      let seen = '';
      while ((seen.match(/^id: /gm) ?? []).length < 5) seen += Buffer.from((await reader.read()).value ?? []).toString();
      home.loseGateway();
      await home.loseEndpoints();
      regions.clock.at += LEASE_MS;
      assert.equal((await ask(regions)).status, 502); // until somebody drains it, or it is there again
      regions.drained = home.name;
      const id = answer.headers.get('x-penstock-generation');
      const last = seen.match(/^id: (\d+)/gm)?.length ?? 0;
      const rest = await regions.request('GET', `/v1/generations/${id}/events`, { headers: { 'last-event-id': String(last) } });
      assert.equal(rest.status, 200);
      const { text, finishReason } = await readStream(new Response(seen + (await rest.text())));
      assert.deepEqual({ text, finishReason }, { text: expected, finishReason: 'length' });
      const [, answered] = await counting(regions, () => check([ask(regions), ask(regions)], expected));
      assert.equal(answered, 2);
      return `event ${last + 1} and all that follow came from ${other.name}, and so did ${answered} new answers`;
    },
  },
];

if (import.meta.main) {
  await using regions = await startTwoRegions();
  const expected = await expectedText();
  for (const [index, { what, run }] of DRILL.entries()) {
    process.stdout.write(`${index + 1}. ${what}\n`);
    process.stdout.write(`   ok: ${await run(regions, expected)}\n`);
  }
}
