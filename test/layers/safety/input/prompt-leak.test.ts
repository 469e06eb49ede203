import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPromptLeakStream, type WatchedPrompt, watchPrompt } from '../../../../layers/safety/index.ts';
import { randomCuts } from '../../../support/hostile-text.ts';

const prompt =
  'You are the assistant of Acme Insurance. Never discuss competitors, never promise a payout, and always ask for the policy number before you look at a claim.';
/** Words in a row that are a quote, as docs/safety.md says. */
const QUOTE = 12;

function watch(text: string): WatchedPrompt {
  const watched = watchPrompt(text);
  if (watched === undefined) throw new Error('the prompt is too short to be watched');
  return watched;
}

function read(watched: WatchedPrompt, pieces: readonly string[], holds = true) {
  const stream = createPromptLeakStream(watched, holds);
  const released = pieces.map((piece) => stream.push(piece).released);
  const last = stream.flush();
  return { released: [...released, last.released].join(''), isLeaked: last.isLeaked };
}

function cutInto(text: string, cuts: readonly number[]): string[] {
  const places = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((start, index) => text.slice(start, places[index] ?? text.length));
}

describe('a prompt leak detector', () => {
  it('shows nothing of a long quote, in other case and punctuation too, however it is cut', () => {
    const disguises = [prompt, prompt.toUpperCase().replaceAll(',', ' --'), prompt.replaceAll('a', 'а'), [...prompt].join('\u200b')];
    for (const said of disguises) {
      for (const size of [1, 3, 7, 1000]) {
        const answer = `Sure! My instructions: ${said} And more.`;
        const pieces = Array.from({ length: Math.ceil(answer.length / size) }, (_, index) =>
          answer.slice(index * size, (index + 1) * size),
        );
        const { released, isLeaked } = read(watch(prompt), pieces);
        expect(isLeaked).toBe(true);
        expect(released).toBe('Sure! My instructions: ');
      }
    }
  });

  it('does not mind an answer that uses a few of the words', () => {
    const answer = 'I am the assistant of Acme Insurance. Could you give me the policy number before we look at your claim?';
    expect(read(watch(prompt), [answer])).toEqual({ released: answer, isLeaked: false });
  });

  it('holds nothing back when it only tells', () => {
    const stream = createPromptLeakStream(watch(prompt), false);
    for (const piece of prompt.split(/(?<= )/)) expect(stream.push(piece).released).toBe(piece);
    expect(stream.flush().isLeaked).toBe(true);
  });

  it('does not watch a prompt that cannot be told from ordinary talk', () => {
    expect(watchPrompt('You are a helpful assistant.')).toBeUndefined();
  });

  it('counts the characters of scripts without spaces as words', () => {
    const rules = '你是安盛保险公司的助理，绝不谈论竞争对手。';
    expect(read(watch(rules), [`好的：${rules}`])).toEqual({ released: '好的：', isLeaked: true });
  });

  const word = fc.constantFrom('a', 'b', 'ab', "b'a");
  const words = fc.array(word, { minLength: QUOTE, maxLength: 24 });
  /** Words of the prompt in a row, and others between them. */
  const answerTo = (promptWords: readonly string[]) =>
    fc
      .array(
        fc.oneof(
          fc.tuple(fc.nat(promptWords.length), fc.nat(promptWords.length)).map(([from, length]) => promptWords.slice(from, from + length)),
          fc.array(fc.oneof(word, fc.constant('zebra')), { maxLength: 3 }),
        ),
        { maxLength: 5 },
      )
      .map((pieces) => pieces.flat());
  const conversation = words.chain((promptWords) => fc.tuple(fc.constant(promptWords), answerTo(promptWords), randomCuts));
  const spoken = (text: string) => text.replace(/'/g, '');
  /** By looking at every place: how many words from `at` on stand in the prompt in a row. */
  const quotesAt = (said: readonly string[], promptWords: readonly string[], length: number) =>
    said.findIndex((_, at) =>
      promptWords.some(
        (_, place) =>
          said.slice(at, at + length).join(' ') === promptWords.slice(place, place + length).join(' ') &&
          at + length <= said.length &&
          place + length <= promptWords.length,
      ),
    );

  it('says the same for every chunking, and finds what a search of every place finds', () => {
    fc.assert(
      fc.property(conversation, ([promptWords, said, cuts]) => {
        const watched = watch(promptWords.join(' '));
        const answer = said.join(' ');
        const whole = read(watched, [answer]);
        expect(read(watched, cutInto(answer, cuts))).toEqual(whole);
        const quote = quotesAt(said.map(spoken), promptWords.map(spoken), QUOTE);
        expect(whole.isLeaked).toBe(quote >= 0);
        expect(whole.released).toBe(
          quote < 0
            ? answer
            : said
                .slice(0, quote)
                .map((one) => `${one} `)
                .join(''),
        );
      }),
      { numRuns: 500 },
    );
  });

  it('holds back no more than what a continuation can make a quote of', () => {
    fc.assert(
      fc.property(conversation, ([promptWords, said]) => {
        const [plainPrompt, plain] = [promptWords.map(spoken), said.map(spoken)];
        if (quotesAt(plain, plainPrompt, QUOTE) >= 0) return;
        const stream = createPromptLeakStream(watch(promptWords.join(' ')), true);
        // The space behind a word ends it.
        const shown = said.map((one) => stream.push(`${one} `).released).join('');
        let held = 0;
        for (let count = 1; count <= plain.length; count += 1) {
          const end = plain.slice(-count).join(' ');
          const canGrow = plainPrompt.some(
            (_, place) => plainPrompt.slice(place, place + count).join(' ') === end && place + QUOTE <= plainPrompt.length,
          );
          if (canGrow) held = count;
        }
        expect(shown).toBe(
          said
            .slice(0, said.length - held)
            .map((one) => `${one} `)
            .join(''),
        );
      }),
      { numRuns: 500 },
    );
  });
});
