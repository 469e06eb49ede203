/** The table: ours and the others, row by row, from one run. */
import { type Gateway, startLitellm, startPenstock, startPortkey } from './gateways.ts';
import { brokenAnswers, duplicates, overrun, resume, timeToFirstToken, tokensAfterDeath, turnedAway } from './measure.ts';
import { startUpstream, type Upstream } from './upstream.ts';

const STREAMS = 200;
const OVERRUN_RUNS = 5;
const DUPLICATES = 50;
const CLIENTS = 20;
const POSITIONS = 20;
const WAITING = 50;
const BUSY_SECONDS = 20;

interface Row {
  readonly what: string;
  readonly cells: string[];
}

/** Prints it. Others that cannot be installed or started are said to be missing. @param rounds pairs of requests for the time to first token. */
export async function compareGateways(rounds: number, withPeers: boolean): Promise<void> {
  await using upstream = await startUpstream();
  await using all = new AsyncDisposableStack();
  const gateways: Gateway[] = [all.use(await startPenstock(upstream.url))];
  for (const [name, start] of withPeers
    ? ([
        ['LiteLLM', startLitellm],
        ['Portkey', startPortkey],
      ] as const)
    : []) {
    try {
      gateways.push(all.use(await start(upstream.url)));
    } catch (error) {
      console.log(`${name} is not in the table: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`);
    }
  }
  const rows: Row[] = [];
  const row = async (what: string, measure: (gateway: Gateway) => Promise<string>) => {
    const cells: string[] = [];
    for (const gateway of gateways) cells.push(await measure(gateway).catch((error: unknown) => `failed: ${describe(error)}`));
    rows.push({ what, cells });
  };

  await row(`${STREAMS} streams on a 1,000-token limit, ${OVERRUN_RUNS} runs: most tokens over it`, async (gateway) => {
    let most = 0;
    for (let run = 0; run < OVERRUN_RUNS; run += 1) {
      const over = await overrun(gateway, upstream, STREAMS);
      if (over === undefined) return 'no limits';
      most = Math.max(most, over);
    }
    return String(most);
  });
  await row(`${DUPLICATES} duplicates, one Idempotency-Key: model calls`, async (gateway) => {
    const { calls, failed } = await duplicates(gateway, upstream, DUPLICATES);
    return failed === 0 ? String(calls) : `${calls}, ${failed} failed`;
  });
  await row(`client killed in a stream of 200: tokens made afterwards, p95`, async (gateway) => {
    const wasted = await tokensAfterDeath(gateway, upstream, CLIENTS);
    return String(wasted[Math.floor((wasted.length - 1) * 0.95)]);
  });
  await row('connection lost, asked again: the client gets', (gateway) => resume(gateway, upstream));
  await row(`model broken after each of ${POSITIONS} tokens: answers as if nothing had been`, async (gateway) => {
    return `${await brokenAnswers(gateway, upstream, POSITIONS)} of ${POSITIONS}`;
  });
  await row(`${WAITING} clients while the model is busy for ${BUSY_SECONDS} s: turned away`, async (gateway) => {
    return String(await turnedAway(gateway, upstream, WAITING, BUSY_SECONDS));
  });
  const added = await addedTime(gateways, upstream, rounds);
  rows.push({ what: 'added to the time to first token, p50', cells: added.map((figures) => `${quantile(figures, 0.5)} ms`) });
  rows.push({ what: 'the same, p90', cells: added.map((figures) => `${quantile(figures, 0.9)} ms`) });
  print(gateways, rows);
}

/** Everybody in turn, round by round, so that what else the machine does falls on all alike. */
async function addedTime(gateways: readonly Gateway[], upstream: Upstream, rounds: number): Promise<readonly number[][]> {
  upstream.settings.pauseMs = 0;
  const measure = ({ url, model, headers }: Gateway) => timeToFirstToken(`${url}/chat/completions`, model, headers);
  const direct = () => timeToFirstToken(`${upstream.url}/v1/chat/completions`, 'stand-in', {});
  for (let warmUp = 0; warmUp < 30; warmUp += 1) for (const gateway of gateways) await Promise.all([direct(), measure(gateway)]);
  const figures = gateways.map((): number[] => []);
  for (let round = 0; round < rounds; round += 1) {
    const floor = await direct();
    for (const [index, gateway] of gateways.entries()) figures[index]?.push((await measure(gateway)) - floor);
  }
  return figures;
}

function print(gateways: readonly Gateway[], rows: readonly Row[]): void {
  const lines = [['', ...gateways.map(({ name }) => name)], ...rows.map(({ what, cells }) => [what, ...cells])];
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
  for (const line of lines)
    console.log(
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('   ')
        .trimEnd(),
    );
}

function quantile(figures: readonly number[], q: number): string {
  const sorted = [...figures].sort((one, other) => one - other);
  return (sorted[Math.floor((sorted.length - 1) * q)] ?? Number.NaN).toFixed(1);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
}
