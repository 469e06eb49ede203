/**
 * Escrow. Before a request is admitted, everything that it may use is set aside: one conditional write of the key's meter adds its exact
 * prompt tokens and its most completion tokens to every counter, or is refused as a whole. Where a project or an organisation has limits too, its
 * meter is part of the same write, a transaction (docs/decisions/escrow-by-conditional-write.md says why it is, and what it costs). What was not used goes back when the generation
 * ends, however it ends. A meter row holds the counters (`tokens/2026-11-24`), the number of open holds and each hold itself
 * (`hold/GENERATION`), so that settling is one write too, which happens at most once: it needs the hold that it removes. A hold whose process
 * is gone is settled by whoever meets it (`reclaim-holds.ts`).
 *
 * Sum of delivered tokens <= limit follows: delivered <= held for each generation, and the write keeps the sum of held and used below the
 * limit in every window.
 */

import type { Attributes, Change, Condition, Row, Table } from '../services/table.ts';
import type { Clock } from '../services.ts';
import type { MeterScope } from './caller.ts';
import { describeRefusal, type RateLimits, rateLimitsOf } from './limit-answers.ts';
import { type Counter, countersAt, countOf, staleCounters } from './limits.ts';

/** Nano-dollars for one token. */
export interface Price {
  readonly promptToken: number;
  readonly completionToken: number;
}

/** What is told of a hold to whoever finds it after its process died: enough to write its ledger line. */
export interface HoldOwner {
  readonly runnerId: string;
  readonly modelId: string;
  readonly keyId: string;
  readonly projectId: string;
  readonly organizationId: string;
  readonly requestId: string;
}

export interface HoldRequest {
  readonly generationId: string;
  readonly meters: readonly MeterScope[];
  readonly owner: HoldOwner;
  readonly promptTokens: number;
  /** As many as the answer can have, or the first part of them, when more are held as it grows. */
  readonly completionTokens: number;
  readonly price: Price;
}

/** Tokens set aside. `completionTokens` may be fewer than asked for: the budget had no more, and the answer is cut there. */
export interface Hold extends HoldRequest {
  readonly at: number;
  readonly rateLimits: RateLimits;
}

export interface UsedTokens {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export interface Meters {
  /** @throws {RateLimitError | QuotaExceededError} not even one token of an answer fits. */
  hold(request: HoldRequest): Promise<Hold>;
  /** Sets more completion tokens aside, as many of these as there are; `undefined` when there is none. */
  extend(hold: Hold, moreTokens: number): Promise<Hold | undefined>;
  /** Gives back what was not used. False when the hold was settled before. */
  settle(
    hold: Pick<Hold, 'generationId' | 'meters' | 'at' | 'promptTokens' | 'completionTokens' | 'price'>,
    used: UsedTokens,
  ): Promise<boolean>;
}

export function meterKey(scopeName: string) {
  return { partition: `meter/${scopeName}`, sort: 'meter' };
}

/** Between looking and writing, others write: so often it is tried again with what is left then. */
const TRIES = 8;

/** @param reclaim settles the holds of dead processes on these meters; true when there were some. */
export function createMeters(table: Table, clock: Clock, reclaim: (rows: readonly Row[]) => Promise<boolean> = async () => false): Meters {
  /** Attributes of each meter as last seen, to take counters of past windows along. */
  const stale = new Map<string, readonly string[]>();
  const see = (row: Row | undefined) => {
    if (row === undefined) return;
    const names = staleCounters(row.attributes, clock.now());
    if (names.length > 0) stale.set(row.key.partition, names);
  };

  const writeHold = async (
    hold: Omit<Hold, 'rateLimits'>,
    added: UsedTokens,
    isNew: boolean,
  ): Promise<{ written: boolean; rows: readonly (Row | undefined)[] }> => {
    const changes = hold.meters.map((meter): Change => {
      const key = meterKey(meter.name);
      const counters = countersAt(hold.at, meter.limits);
      const amount = (counter: Counter) => amountIn(counter, added, hold.price, isNew ? 1 : 0);
      const conditions: Condition[] = counters.flatMap((counter) =>
        counter.limit === undefined || amount(counter) === 0
          ? []
          : [{ attribute: counter.attribute, atMost: counter.limit - amount(counter) }],
      );
      // A write whose answer was lost is sent again: then this much is held already, and is not counted twice.
      const before = hold.completionTokens - added.completionTokens;
      conditions.push(isNew ? { attribute: heldName(hold), is: 'absent' } : { attribute: heldName(hold), equals: before });
      if (isNew && meter.limits.concurrent_requests !== undefined)
        conditions.push({ attribute: 'open', atMost: meter.limits.concurrent_requests - 1 });
      const past = (stale.get(key.partition) ?? []).filter((name) => counters.every((counter) => counter.attribute !== name));
      stale.delete(key.partition);
      return {
        type: 'update',
        key,
        if: conditions,
        set: { [holdName(hold)]: encodeHold(hold), [heldName(hold)]: hold.completionTokens },
        add: { ...(isNew ? { open: 1 } : {}), ...amountsOf(counters, amount) },
        remove: past,
      };
    });
    const [first, ...others] = changes;
    const isThere = (row: Row | undefined) => row?.attributes[heldName(hold)] === hold.completionTokens;
    if (first !== undefined && others.length === 0) {
      const { written, row } = await table.write(first);
      see(row);
      return { written: written || isThere(row), rows: [row] };
    }
    const written = await table.writeAll(changes);
    // When it is written, only the headers about the key's own minute want to know more.
    const { requests_per_minute: requests, tokens_per_minute: tokens } = hold.meters[0]?.limits ?? {};
    const isToldOf = isNew && (requests !== undefined || tokens !== undefined);
    const needed = written ? (isToldOf ? changes.slice(0, 1) : []) : changes;
    const rows = await Promise.all(needed.map((change) => table.read(change.key)));
    rows.forEach(see);
    return { written: written || isThere(rows[0]), rows };
  };

  return {
    async hold(request) {
      let completionTokens = request.completionTokens;
      let reclaimed = false;
      for (let tries = 1; ; tries += 1) {
        const hold = { ...request, completionTokens, at: clock.now() };
        const { written, rows } = await writeHold(hold, hold, true);
        if (written) return { ...hold, rateLimits: rateLimitsOf(request.meters[0]?.limits ?? {}, rows[0]?.attributes, hold.at) };
        const left = completionTokensLeft(request.meters, rows, request, hold.at);
        if (left.completionTokens < 1 || tries === TRIES) {
          if (!reclaimed && (await reclaim(rows.filter((row) => row !== undefined)))) {
            reclaimed = true;
            completionTokens = request.completionTokens;
            continue;
          }
          throw describeRefusal(left.refusedBy, request.meters, rows, hold);
        }
        completionTokens = Math.min(request.completionTokens, left.completionTokens);
      }
    },

    async extend(hold, moreTokens) {
      let more = moreTokens;
      for (let tries = 1; tries <= TRIES && more > 0; tries += 1) {
        const longer = { ...hold, completionTokens: hold.completionTokens + more };
        const { written, rows } = await writeHold(longer, { promptTokens: 0, completionTokens: more }, false);
        if (written) return longer;
        if (rows.some((row) => row?.attributes[holdName(hold)] === undefined)) return undefined; // settled as lost meanwhile
        more = Math.min(more, completionTokensLeft(hold.meters, rows, { ...hold, promptTokens: 0 }, hold.at, true).completionTokens);
      }
      return undefined;
    },

    async settle(hold, used) {
      const given = {
        promptTokens: used.promptTokens - hold.promptTokens,
        completionTokens: used.completionTokens - hold.completionTokens,
      };
      const results = await Promise.all(
        hold.meters.map((meter) =>
          table.write({
            type: 'update',
            key: meterKey(meter.name),
            if: [{ attribute: holdName(hold), is: 'present' }],
            add: { open: -1, ...amountsOf(countersAt(hold.at, {}), (counter) => amountIn(counter, given, hold.price, 0)) },
            remove: [holdName(hold), heldName(hold)],
          }),
        ),
      );
      for (const { row } of results) see(row);
      return results.some((result) => result.written);
    },
  };
}

/** How many completion tokens every limit leaves, and the limit that leaves the fewest. */
function completionTokensLeft(
  meters: readonly MeterScope[],
  rows: readonly (Row | undefined)[],
  request: Pick<HoldRequest, 'promptTokens' | 'completionTokens' | 'price'>,
  atMs: number,
  isOpen = false,
): { completionTokens: number; refusedBy: { meter: MeterScope; counter: Counter | 'concurrent_requests' } | undefined } {
  let fewest = Number.POSITIVE_INFINITY;
  let refusedBy: { meter: MeterScope; counter: Counter | 'concurrent_requests' } | undefined;
  const consider = (meter: MeterScope, counter: Counter | 'concurrent_requests', left: number) => {
    if (left >= fewest) return;
    fewest = left;
    refusedBy = { meter, counter };
  };
  for (const [index, meter] of meters.entries()) {
    const attributes = rows[index]?.attributes;
    const { concurrent_requests: concurrent } = meter.limits;
    if (!isOpen && concurrent !== undefined && countOf(attributes, 'open') >= concurrent) consider(meter, 'concurrent_requests', 0);
    for (const counter of countersAt(atMs, meter.limits)) {
      if (counter.limit === undefined) continue;
      const free = counter.limit - countOf(attributes, counter.attribute);
      consider(meter, counter, leftOf(counter, free, request, isOpen));
    }
  }
  return { completionTokens: fewest, refusedBy };
}

function leftOf(
  counter: Counter,
  free: number,
  { promptTokens, completionTokens, price }: Pick<HoldRequest, 'promptTokens' | 'completionTokens' | 'price'>,
  isOpen: boolean,
): number {
  switch (counter.unit) {
    case 'requests':
      return isOpen || free >= 1 ? Number.POSITIVE_INFINITY : 0;
    case 'tokens': {
      const left = free - promptTokens;
      // A minute is soon over: a request waits for the next one rather than be cut short, unless it would fit into no minute at all.
      const fitsLater = counter.name === 'tokens_per_minute' && promptTokens + completionTokens <= (counter.limit ?? 0);
      return fitsLater && left < completionTokens ? 0 : left;
    }
    case 'nanodollars': {
      if (price.completionToken === 0) return free >= promptTokens * price.promptToken ? Number.POSITIVE_INFINITY : 0;
      return Math.floor((free - promptTokens * price.promptToken) / price.completionToken);
    }
  }
}

function amountIn(counter: Counter, tokens: UsedTokens, price: Price, requests: number): number {
  switch (counter.unit) {
    case 'requests':
      return requests;
    case 'tokens':
      return tokens.promptTokens + tokens.completionTokens;
    case 'nanodollars':
      return costOf(tokens, price);
  }
}

/** In nano-dollars. */
export function costOf(tokens: UsedTokens, price: Price): number {
  return tokens.promptTokens * price.promptToken + tokens.completionTokens * price.completionToken;
}

function amountsOf(counters: readonly Counter[], amount: (counter: Counter) => number): Record<string, number> {
  return Object.fromEntries(
    counters.flatMap((counter) => {
      const value = amount(counter);
      return value === 0 ? [] : [[counter.attribute, value]];
    }),
  );
}

function holdName({ generationId }: { readonly generationId: string }): string {
  return `hold/${generationId}`;
}

/** How many completion tokens are held: what a write can put a condition on. */
function heldName({ generationId }: { readonly generationId: string }): string {
  return `held/${generationId}`;
}

function encodeHold(hold: Omit<Hold, 'rateLimits'>): Attributes {
  return {
    ...hold.owner,
    at: hold.at,
    promptTokens: hold.promptTokens,
    completionTokens: hold.completionTokens,
    promptTokenPrice: hold.price.promptToken,
    completionTokenPrice: hold.price.completionToken,
    meters: hold.meters.map((meter) => meter.name),
  };
}
