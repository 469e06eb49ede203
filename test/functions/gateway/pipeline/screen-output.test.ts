import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ChoiceEvent, TokenDetail } from '../../../../functions/gateway/pipeline/generation-request.ts';
import type { OutputPart } from '../../../../functions/gateway/pipeline/output-parsers/output-part.ts';
import { screenOutput } from '../../../../functions/gateway/pipeline/screen-output.ts';
import { type Screening, startScreening } from '../../../../functions/gateway/safety/screening.ts';
import { createTenantSafety } from '../../../../functions/gateway/safety/tenant-safety.ts';
import { createPiiMask, createSafetyFilter, parseSafetyPolicy, watchPrompt } from '../../../../layers/safety/index.ts';
import { hostileText, randomCuts } from '../../../support/hostile-text.ts';

const usage = { promptTokens: 1, completionTokens: 1, cachedPromptTokens: 0, reasoningTokens: 0 };
const classifier = {
  name: 'marks',
  thresholds: { violence: 0.9 },
  score: (text: string) => ({ violence: text.includes('zxqz') ? 0.95 : 0.1 }),
};
const none = { minilm: undefined, guard: undefined, log: { write: () => undefined } };
const both = (action: string) => ({ input: action, output: action });
const instructions = 'You are the assistant of Acme and you never say that the weather is fine today or that nothing happened at all.';

function screeningOf(policy: object): Screening {
  const safety = createTenantSafety(parseSafetyPolicy(policy), classifier, none);
  const mask = createPiiMask(true);
  const masking = createSafetyFilter(parseSafetyPolicy({ pii: { input: 'mask', output: 'flag' } }));
  for (const value of ['I am jane.doe@example.com', 'My card is 4111 1111 1111 1111'])
    mask.hide(value, masking.check(value, 'input').verdict.findings);
  return { ...startScreening(safety), mask, watched: watchPrompt(instructions) };
}

const policies: Readonly<Record<string, object>> = {
  redacts: { pii: both('redact'), denylists: { words: { ...both('redact'), entries: ['bomb', 'kill yourself'] } } },
  blocks: { pii: both('flag'), secrets: both('block'), denylists: { words: { ...both('block'), entries: ['bomb'] } } },
  'holds windows and leaks': { streaming: 'hold', promptLeak: 'block', categories: { violence: both('block') } },
  'only reports': { dryRun: true, secrets: both('block'), promptLeak: 'block', categories: { violence: both('block') } },
};
const text = fc
  .array(fc.oneof(hostileText, fc.constantFrom('⟦EMAIL_1⟧', '⟦ card_1 ⟧', '⟦EMAIL_9⟧', '⟦', instructions, instructions.slice(0, 40))), {
    maxLength: 4,
  })
  .map((pieces) => pieces.join(' '));
const isCut = (place: number, cuts: readonly number[], length: number) => cuts.some((cut) => cut % (length + 1) === place);

/** What one choice says: thoughts, an answer and a call's arguments, each cut as the cuts say. */
function* events(texts: readonly [string, string, string], cuts: readonly number[]): Generator<ChoiceEvent> {
  const parts: OutputPart[] = [
    { type: 'reasoning', text: texts[0] },
    { type: 'content', text: texts[1] },
    { type: 'tool-call', call: 0, name: 'send' },
    { type: 'tool-arguments', call: 0, text: JSON.stringify({ to: texts[2] }) },
  ];
  for (const part of parts) {
    if (part.type === 'tool-call') {
      yield { type: 'delta', parts: [part], tokens: [], usage };
      continue;
    }
    let piece = '';
    for (let place = 0; place < part.text.length; place += 1) {
      piece += part.text[place];
      if (place + 1 < part.text.length && !isCut(place, cuts, part.text.length)) continue;
      yield { type: 'delta', parts: [{ ...part, text: piece }], tokens: [], usage };
      piece = '';
    }
  }
  yield { type: 'choice-end', finishReason: 'stop', usage };
}

async function run(screening: Screening, source: Iterable<ChoiceEvent>, stop: readonly string[] = []) {
  const said: Record<string, string> = {};
  const order: string[] = [];
  const tokens: TokenDetail[] = [];
  let finish = '';
  async function* asynchronous() {
    yield* source;
  }
  for await (const event of screenOutput(asynchronous(), screening, { stop })) {
    if (event.type === 'choice-end') finish += event.finishReason;
    else {
      tokens.push(...event.tokens);
      for (const part of event.parts) {
        if (order.at(-1) !== part.type) order.push(part.type);
        if (part.type !== 'tool-call') said[part.type] = (said[part.type] ?? '') + part.text;
      }
    }
  }
  return { said, order, finish, tokens };
}

describe.each(Object.entries(policies))('an answer under a policy that %s', (_, policy) => {
  it('says the same for every chunking, in the order in which it was said, and ends once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(text, text, text),
        randomCuts,
        fc.constantFrom([], ['example'], ['⟧'], ['[']),
        async (texts, cuts, stop) => {
          const whole = await run(screeningOf(policy), events(texts, []), stop);
          const cut = await run(screeningOf(policy), events(texts, cuts), stop);
          expect(cut).toEqual(whole);
          const one = await run(
            screeningOf(policy),
            events(
              texts,
              Array.from({ length: 3_000 }, (_, place) => place),
            ),
            stop,
          );
          expect(one).toEqual(whole);
          expect(['stop', 'content-filter']).toContain(whole.finish);
          const places = whole.order.map((type) => ['reasoning', 'content', 'tool-call', 'tool-arguments'].indexOf(type));
          expect(places).toEqual([...places].sort());
          for (const piece of Object.values(whole.said)) for (const one of stop) expect(piece).not.toContain(one);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('log-probabilities', () => {
  const encode = (said: string) => new TextEncoder().encode(said);
  const token = (bytes: Uint8Array, textOffset: number): TokenDetail => ({ token: '?', bytes, textOffset, logprob: -1, top: [] });
  const spelled = (tokens: readonly TokenDetail[]) => tokens.map(({ bytes }) => new TextDecoder().decode(bytes));
  const delta = (said: string, tokens: readonly TokenDetail[]): ChoiceEvent => ({
    type: 'delta',
    parts: said === '' ? [] : [{ type: 'content', text: said }],
    tokens,
    usage,
  });
  const end: ChoiceEvent = { type: 'choice-end', finishReason: 'stop', usage };
  /** Tokens numbered by their log-probabilities (0, -1, -2 and so on), cut where some between are missing. */
  const runsOf = (tokens: readonly TokenDetail[]) => {
    const runs: TokenDetail[][] = [];
    for (const one of tokens) {
      const run = runs.at(-1);
      if (run?.at(-1)?.logprob === (one.logprob ?? 0) + 1) run.push(one);
      else runs.push([one]);
    }
    return runs;
  };

  it('show no token of a placeholder, also where one token begins before it', async () => {
    const opener = encode('⟦');
    const source = [
      delta('To', [token(encode('To'), 0)]),
      delta(' ', [token(Uint8Array.of(32, ...opener.slice(0, 1)), 2)]),
      delta('⟦EMAIL_1', [token(Uint8Array.of(...opener.slice(1), ...encode('EMAIL_1')), 3)]),
      delta('⟧ now', [token(encode('⟧'), 11), token(encode(' now'), 12)]),
      end,
    ];
    const { said, tokens } = await run(screeningOf({ secrets: both('allow') }), source);
    expect(said['content']).toBe('To jane.doe@example.com now');
    expect(spelled(tokens)).toEqual(['To', ' now']);
    expect(tokens.map(({ textOffset }) => textOffset)).toEqual([0, 'To jane.doe@example.com'.length]);
  });

  it('show no token of a held piece before its text has come: a stop sequence makes that wait', async () => {
    const card = '4111 1111 1111 1111';
    const source = [
      delta('It is ', [token(encode('It is '), 0)]),
      ...card.split(' ').map((group, index) => delta('', [token(encode(`${group} `), 6 + 5 * index)])),
      delta(`${card} , or so`, [token(encode(', or so'), 26)]),
      end,
    ];
    const { said, tokens } = await run(screeningOf({ pii: both('redact') }), source);
    expect(said['content']).toBe('It is [CARD] , or so');
    expect(spelled(tokens).join('')).not.toContain('1');
    expect(spelled(tokens)).toContain('It is ');
  });

  it('tell what the text tells, whatever the tokens are cut into', async () => {
    await fc.assert(
      fc.asyncProperty(text, randomCuts, async (answer, cuts) => {
        const bytes = encode(answer.toWellFormed());
        const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((one, other) => one - other);
        const pieces = [0, ...places].map((start, index) => bytes.slice(start, places[index] ?? bytes.length));
        const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
        // Each is known again by its log-probability.
        const source = pieces.map((piece, index) => delta(utf8.decode(piece, { stream: true }), [{ ...token(piece, 0), logprob: -index }]));
        const { said, tokens } = await run(screeningOf({ pii: both('redact'), secrets: both('redact') }), [...source, end]);
        const spell = (some: readonly TokenDetail[]) =>
          new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(some.map((one) => one.bytes)));
        const told = spell(tokens);
        // What neighbouring tokens tell is in the text, as it is; between two that are none a replaced piece may have stood.
        for (const neighbours of runsOf(tokens)) expect(said['content'] ?? '').toContain(spell(neighbours));
        for (const piece of ['jane', '4111', 'AKIA', 'MIIE', 'hunter2x', 'bomb'])
          if (!(said['content'] ?? '').includes(piece)) expect(told).not.toContain(piece);
      }),
      { numRuns: 100 },
    );
  });
});
