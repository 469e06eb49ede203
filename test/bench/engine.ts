/**
 * The embedded engine beside llama.cpp's server: same GGUF, same machine, both over HTTP, in turn. `npm run bench:engine` prints every
 * figure with its bar. A round in which other processes used more than 0.15 core is measured again while `--minutes` lasts, and marked
 * when it stays so: on a shared machine the ratios of a marked round say little.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Contestant, freshPrompt, type OurContainer, startOurs, startPeer, stop } from './engine/contestants.ts';
import { withOtherLoad } from './engine/other-load.ts';
import { meanDivergence } from './engine/quality.ts';
import { readQuestions } from './engine/questions.ts';

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, minutes: { type: 'string', default: '7' }, only: { type: 'string', default: '' } },
});
const ROUNDS = Number(options.rounds);
const RETRY_UNTIL = performance.now() + Number(options.minutes) * 60_000 * 0.6;
const QUIET_CORES = 0.15;

/** Milliseconds. */
const timeToFirst = async (contestant: Contestant, length: number) => {
  const { sentAt, arrivals } = await contestant.generate(freshPrompt(length), 1);
  return (arrivals[0] ?? Number.NaN) - sentAt;
};
/** Tokens a second while all streams are decoding. */
const decodeRate = async (contestant: Contestant, streams: number, promptLength: number, tokens: number) =>
  rateOf(await Promise.all(Array.from({ length: streams }, () => contestant.generate(freshPrompt(promptLength), tokens))));
const rateOf = (runs: readonly { arrivals: number[] }[]) => {
  const from = Math.max(...runs.map(({ arrivals }) => arrivals[0] ?? 0));
  const to = Math.min(...runs.map(({ arrivals }) => arrivals.at(-1) ?? 0));
  const count = runs.reduce((sum, { arrivals }) => sum + arrivals.filter((at) => at > from && at <= to).length, 0);
  return (count / (to - from)) * 1000;
};
const residentMb = ({ process: child }: Contestant) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? Number.NaN) / 1024;
const median = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;

interface Bar {
  readonly sense: '>=' | '<=';
  readonly value: number;
}
const atLeast = (value: number): Bar => ({ sense: '>=', value });
const atMost = (value: number): Bar => ({ sense: '<=', value });

function report(what: string, value: number, { sense, value: bar }: Bar, detail: string, digits = 2): void {
  const met = sense === '>=' ? value >= bar : value <= bar;
  console.log(`${what.padEnd(44)} ${value.toFixed(digits).padStart(8)}  ${sense} ${bar}`.padEnd(66), met ? 'met   ' : 'MISSED', detail);
}

interface Figure {
  readonly what: string;
  readonly unit: string;
  /** For ours / theirs. */
  readonly bar: Bar;
  readonly measure: (contestant: Contestant, turn: number) => Promise<number>;
  /** How often the contestants change in each round, 1 if left out. The machine's speed changes within seconds. */
  readonly turns?: number;
}
const questions = await readQuestions();
const ONE_STREAM = {
  unit: 'tok/s',
  measure: async (c: Contestant, turn: number) => rateOf([await c.generate(questions[turn % questions.length] ?? [], 64)]),
  turns: questions.length,
};
/** What both do by themselves: ours looks up what may follow, theirs does so when it is told to. */
const oneStream = (threads: number) => `decode, one stream, ${threads} thread${threads > 1 ? 's' : ''}`;
/** First of all: resident memory counts from a fresh process. */
const RESIDENT: Figure = {
  what: 'resident, 8 streams of 256',
  unit: 'MB',
  bar: atMost(0.8),
  measure: async (c) => {
    await decodeRate(c, 8, 200, 56);
    return residentMb(c);
  },
};
const WITH_ONE_THREAD: readonly Figure[] = [
  RESIDENT,
  { what: oneStream(1), bar: atLeast(1), ...ONE_STREAM },
  { what: 'decode, total of 8 streams', unit: 'tok/s', bar: atLeast(2), measure: (c) => decodeRate(c, 8, 16, 64) },
  { what: 'prefill of 512, cold', unit: 'tok/s', bar: atLeast(2), measure: async (c) => (512 / (await timeToFirst(c, 512))) * 1000 },
  { what: 'prefill of 1024, cold', unit: 'tok/s', bar: atLeast(1.8), measure: async (c) => (1024 / (await timeToFirst(c, 1024))) * 1000 },
  { what: 'first token of 256', unit: 'ms', bar: atMost(0.5), measure: (c) => timeToFirst(c, 256) },
];
const WITH_TWO_THREADS: readonly Figure[] = [{ what: oneStream(2), bar: atLeast(0.9), ...ONE_STREAM }];
const isWanted = (what: string) => what.includes(options.only);

async function compare(figure: Figure, ours: Contestant, peer: Contestant): Promise<void> {
  const rounds: { mine: number; theirs: number; otherCores: number }[] = [];
  while (rounds.length < ROUNDS * (figure.turns ?? 1)) {
    const turn = rounds.length;
    const { result, otherCores } = await withOtherLoad([ours, peer], async () => ({
      mine: await figure.measure(ours, turn),
      theirs: await figure.measure(peer, turn),
    }));
    if (otherCores <= QUIET_CORES || performance.now() > RETRY_UNTIL) rounds.push({ ...result, otherCores });
  }
  const noise = Math.max(...rounds.map(({ otherCores }) => otherCores));
  const of = (side: 'mine' | 'theirs') => median(rounds.map((round) => round[side])).toFixed(1);
  const ratio = median(rounds.map(({ mine, theirs }) => mine / theirs));
  const load = `other load ${noise.toFixed(2)} cores${noise > QUIET_CORES ? ', NOT QUIET' : ''}`;
  report(figure.what, ratio, figure.bar, `ours ${of('mine')}, llama.cpp ${of('theirs')} ${figure.unit}; ${load}`);
}

/** The second turn of a conversation of 512 tokens against its first. */
async function measureConversation(contestant: Contestant): Promise<void> {
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const prompt = freshPrompt(512);
    const first = await contestant.generate(prompt, 16);
    const second = await contestant.generate([...prompt, ...first.tokenIds, ...freshPrompt(16)], 1);
    ratios.push(((first.arrivals[0] ?? Number.NaN) - first.sentAt) / ((second.arrivals[0] ?? Number.NaN) - second.sentAt));
  }
  report('second turn of 512, times sooner', median(ratios), atLeast(5), 'first token of the first turn / of the second', 1);
}

/** While everything above ran, and since the last reading. */
async function measureEventLoop(contestant: OurContainer): Promise<void> {
  const seconds = Number(/event_loop_delay_max_seconds\{.*\} (\S+)/.exec(await contestant.metrics())?.[1] ?? Number.NaN);
  report('event loop, longest delay in ms', seconds * 1000, atMost(20), 'of the HTTP side, while all of the above ran', 1);
}

async function measureLoad(): Promise<void> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const contestant = await startOurs(1);
    times.push(contestant.readyMs);
    stop(contestant);
  }
  report('start to ready in s, warm cache', median(times) / 1000, atMost(1.5), `of ${times.map(Math.round).join(', ')} ms`);
}

/** Step time where 4,096 tokens are allowed against 512, with the same active lengths. */
async function measureAllowance(): Promise<void> {
  const [narrow, wide] = [await startOurs(1, '--context', '512'), await startOurs(1, '--context', '4096')];
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) ratios.push((await decodeRate(narrow, 4, 64, 48)) / (await decodeRate(wide, 4, 64, 48)));
  stop(narrow, wide);
  report('step time, 4096 against 512', median(ratios), atMost(1.1), '4 streams of 64 to 112 tokens in both');
}

async function measureQuality(): Promise<void> {
  const { prompts, texts, rows } = await meanDivergence();
  const detail = `recorded prompts ${prompts.toFixed(5)}, other texts ${texts.toFixed(5)}, ${rows} positions`;
  report('mean KL to the exact graph, nats', Math.max(prompts, texts), atMost(0.003), detail, 5);
}

async function sideBySide(
  starting: readonly [Promise<OurContainer>, Promise<Contestant>],
  figures: readonly Figure[],
  then: (ours: OurContainer) => Promise<void> = async () => undefined,
): Promise<void> {
  const [ours, peer] = await Promise.all(starting);
  try {
    for (const figure of figures) if (isWanted(figure.what)) await compare(figure, ours, peer);
    await then(ours);
  } finally {
    stop(ours, peer);
  }
}

/** The engines alone, without guesses, and with guesses on both sides. */
async function compareGuesses(threads: number, bar: Bar): Promise<void> {
  const [alone, both] = [`${oneStream(threads)}, no guesses`, `${oneStream(threads)}, both guess`];
  if (isWanted(alone)) {
    await sideBySide([startOurs(threads, '--draft-tokens', '0'), startPeer(threads)], [{ what: alone, bar, ...ONE_STREAM }]);
  }
  if (isWanted(both)) await sideBySide([startOurs(threads), startPeer(threads, 'guess')], [{ what: both, bar, ...ONE_STREAM }]);
}

console.log(`Median of ${ROUNDS} rounds in turn. Ratios are ours / llama.cpp's.`);
if (isWanted('KL')) await measureQuality();
await sideBySide([startOurs(1), startPeer(1)], WITH_ONE_THREAD, async (ours) => {
  if (isWanted('second turn')) await measureConversation(ours);
  if (isWanted('event loop')) await measureEventLoop(ours);
});
await compareGuesses(1, atLeast(1));
if (WITH_TWO_THREADS.some(({ what }) => isWanted(what))) await sideBySide([startOurs(2), startPeer(2)], WITH_TWO_THREADS);
await compareGuesses(2, atLeast(0.9));
if (isWanted('step time')) await measureAllowance();
if (isWanted('start to ready')) await measureLoad();
