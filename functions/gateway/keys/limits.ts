/** What a key, a project or an organisation may spend, and the counters that say what it has spent. */
import * as v from 'valibot';
import type { Attributes } from '../services/table.ts';

const positive = v.pipe(v.number('must be a number.'), v.integer('must be a whole number.'), v.minValue(1, 'must be at least 1.'));
const dollars = v.pipe(v.number('must be a number.'), v.gtValue(0, 'must be above 0.'), v.maxValue(1e6, 'must be at most 1000000.'));

/** Every limit is optional; minutes, days and months are the calendar's, in UTC. */
export const limitsSchema = v.strictObject(
  {
    requests_per_minute: v.optional(positive),
    tokens_per_minute: v.optional(positive),
    concurrent_requests: v.optional(positive),
    tokens_per_day: v.optional(positive),
    tokens_per_month: v.optional(positive),
    /** Over the whole life of the key. */
    tokens_total: v.optional(positive),
    dollars_per_day: v.optional(dollars),
    dollars_per_month: v.optional(dollars),
  },
  'must be an object of limits.',
);

export type Limits = v.InferOutput<typeof limitsSchema>;

/** Without what is not set. */
export function encodeLimits(limits: Limits): Attributes {
  return Object.fromEntries(Object.entries(limits).flatMap(([name, limit]) => (limit === undefined ? [] : [[name, limit]])));
}

/** Money is counted in whole nano-dollars: sums stay exact. */
export const NANO = 1e9;

/** One counter of a meter with the limit on it. */
export interface Counter {
  readonly name: keyof Limits;
  readonly attribute: string;
  readonly unit: 'requests' | 'tokens' | 'nanodollars';
  /** When it starts from 0 again, in milliseconds since the epoch; `undefined` for never. */
  readonly resetsAt: number | undefined;
  readonly limit: number | undefined;
}

/** The counters that a request at this time counts in. Windows are in the names, so that a new window needs no resetting. */
export function countersAt(atMs: number, limits: Limits): readonly Counter[] {
  return windowsAt(atMs).map((window) => ({ ...window, limit: limitOf(limits, window) }));
}

function limitOf(limits: Limits, { name, unit }: Window): number | undefined {
  const limit = limits[name];
  return limit === undefined || unit !== 'nanodollars' ? limit : Math.round(limit * NANO);
}

type Window = Omit<Counter, 'limit'>;

/** By their minute: each request asks for them several times before it is admitted. */
const windows = new Map<number, readonly Window[]>();
const MOST_WINDOWS = 100;

function windowsAt(atMs: number): readonly Window[] {
  const minute = Math.floor(atMs / 60_000);
  const known = windows.get(minute);
  if (known !== undefined) return known;
  if (windows.size >= MOST_WINDOWS) windows.clear();
  const made = describeWindows(minute * 60_000);
  windows.set(minute, made);
  return made;
}

function describeWindows(minuteMs: number): readonly Window[] {
  const at = new Date(minuteMs);
  const iso = at.toISOString();
  const [minute, day, month] = [iso.slice(0, 16), iso.slice(0, 10), iso.slice(0, 7)];
  const nextMinute = minuteMs + 60_000;
  const nextDay = Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate() + 1);
  const nextMonth = Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1, 1);
  const window = (name: keyof Limits, unit: Counter['unit'], named: string, resetsAt: number | undefined): Window => ({
    ...{ name, unit, resetsAt },
    attribute: `${unit}/${named}`,
  });
  return [
    window('requests_per_minute', 'requests', minute, nextMinute),
    window('tokens_per_minute', 'tokens', minute, nextMinute),
    window('tokens_per_day', 'tokens', day, nextDay),
    window('tokens_per_month', 'tokens', month, nextMonth),
    window('tokens_total', 'tokens', 'total', undefined),
    window('dollars_per_day', 'nanodollars', day, nextDay),
    window('dollars_per_month', 'nanodollars', month, nextMonth),
  ];
}

/** Longer than any generation runs: one that began in yesterday's window still counts in it. */
const LONGEST_GENERATION_MS = 3_600_000;

/** Counters of windows that are over: the next write takes them along. */
export function staleCounters(attributes: Attributes, atMs: number): readonly string[] {
  const [current, before] = [windowsAt(atMs), windowsAt(atMs - LONGEST_GENERATION_MS)];
  const isIn = (those: readonly Window[], name: string) => those.some(({ attribute }) => attribute === name);
  return Object.keys(attributes).filter(
    (name) => /^(requests|tokens|nanodollars)\//.test(name) && !isIn(current, name) && !isIn(before, name),
  );
}

export function countOf(attributes: Attributes | undefined, name: string): number {
  const value = attributes?.[name];
  return typeof value === 'number' ? value : 0;
}
