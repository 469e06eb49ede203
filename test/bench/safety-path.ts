/**
 * What policies cost an answer on its way out: `node test/bench/safety-path.ts`. CPU of this process for each token of prose, over `screenOutput` as the
 * gateway runs it, and the characters that are held back when a token has been read. Prose is the project's own documents.
 */
import type { ChoiceEvent, TokenDetail } from '../../functions/gateway/pipeline/generation-request.ts';
import { screenOutput } from '../../functions/gateway/pipeline/screen-output.ts';
import { type Screening, startScreening } from '../../functions/gateway/safety/screening.ts';
import { createTenantSafety } from '../../functions/gateway/safety/tenant-safety.ts';
import { createPiiMask, createPromptLeakStream, createSafetyFilter, parseSafetyPolicy, watchPrompt } from '../../layers/safety/index.ts';
import { loadHeadsFromFile } from '../../models/safety/load-heads.ts';
import { readProse, tokensOf } from './safety/texts.ts';

const ROUNDS = 5;
const words = readProse([]).split(/(?<=\s)/);
/** As long as an operator's instructions may be, and of the same subject as the prose: many of its words are held. */
const instructions = words.slice(0, 600).join('');
const tokens = tokensOf(words.slice(600).join(''));
const usage = { promptTokens: 1, completionTokens: 1, cachedPromptTokens: 0, reasoningTokens: 0 };
const classifier = loadHeadsFromFile();

console.log(`${tokens.length} tokens of prose, best of ${ROUNDS} rounds`);
const bare = await measure('no policy', startScreening(), false);
await measure('rules that only report', screeningOf({}), false, bare);
const redact = { input: 'redact', output: 'redact' };
await measure('personal data and secrets redacted', screeningOf({ pii: redact, secrets: redact }), false, bare);
await measure('the same, with log-probabilities', screeningOf({ pii: redact, secrets: redact }), true, bare);
await measure('and values given back', { ...screeningOf({ pii: redact, secrets: redact }), mask: maskOf() }, false, bare);
const block = { input: 'flag', output: 'block', threshold: 1 };
await measure('every sentence held for its verdict', screeningOf({ streaming: 'hold', categories: { violence: block } }), false, bare);
await measure('instructions watched', { ...screeningOf({ promptLeak: 'block' }), watched: watchPrompt(instructions) }, false, bare);
reportLeakHold();

function screeningOf(policy: object): Screening {
  const none = { minilm: undefined, guard: undefined, log: { write: () => undefined } };
  return startScreening(createTenantSafety(parseSafetyPolicy(policy), classifier, none));
}

function maskOf() {
  const mask = createPiiMask(true);
  const filter = createSafetyFilter(parseSafetyPolicy({ pii: { input: 'mask', output: 'flag' } }));
  for (let index = 0; index < 20; index += 1) {
    const text = `jane${index}@example.com`;
    mask.hide(text, filter.check(text, 'input').verdict.findings);
  }
  return mask;
}

async function* events(withTokens: boolean): AsyncGenerator<ChoiceEvent> {
  for (const text of tokens) {
    const detail: TokenDetail = { token: text, bytes: Buffer.from(text), textOffset: 0, logprob: -1, top: [] };
    yield { type: 'delta', parts: [{ type: 'content', text }], tokens: withTokens ? [detail] : [], usage };
  }
  yield { type: 'choice-end', finishReason: 'stop', usage };
}

async function measure(name: string, screening: Screening, withTokens: boolean, without = 0): Promise<number> {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = process.cpuUsage();
    for await (const _ of screenOutput(events(withTokens), screening, { stop: [] }));
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / tokens.length);
  }
  console.log(`${(best - without).toFixed(1).padStart(6)} us a token  ${name}`);
  return best;
}

function reportLeakHold(): void {
  let builtMs = Infinity;
  for (let round = 0; round < ROUNDS; round += 1) {
    const began = performance.now();
    watchPrompt(instructions);
    builtMs = Math.min(builtMs, performance.now() - began);
  }
  const watched = watchPrompt(instructions);
  if (watched === undefined) return;
  const stream = createPromptLeakStream(watched, true);
  const held = tokens.map((token) => {
    stream.push(token);
    return stream.heldLength;
  });
  held.sort((one, other) => one - other);
  const mean = held.reduce((sum, one) => sum + one, 0) / held.length;
  console.log(
    `leak detector: ${watched.wordCount} words read in ${builtMs.toFixed(1)} ms; held ${mean.toFixed(1)} characters on average, ` +
      `p95 ${held[Math.floor(held.length * 0.95)]}, most ${held.at(-1)}`,
  );
}
