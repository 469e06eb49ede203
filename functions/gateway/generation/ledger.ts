/** One line for each generation, whatever became of it. Its key is known from the start, so that a line is written once, whoever writes it. */
import * as v from 'valibot';
import type { Table } from '../services/table.ts';
import { callsSchema } from './call-record.ts';
import { verdictsSchema } from './verdicts.ts';

const lineSchema = v.object({
  generationId: v.string(),
  requestId: v.string(),
  organizationId: v.string(),
  projectId: v.string(),
  keyId: v.string(),
  modelId: v.string(),
  /** How it ended. */
  phase: v.picklist(['completed', 'stopped', 'cut', 'cancelled', 'failed']),
  /** Milliseconds since the epoch. */
  startedAt: v.number(),
  endedAt: v.number(),
  firstTokenMs: v.nullable(v.number()),
  promptTokens: v.number(),
  cachedPromptTokens: v.number(),
  completionTokens: v.number(),
  /** It was sampled by a seed that the gateway chose, so that another process or endpoint could go on with it. */
  seedChosen: v.optional(v.boolean(), false),
  /** Endpoint calls that were made for it. */
  attempts: v.number(),
  /** Where they went, and how each ended. */
  calls: v.optional(callsSchema, []),
  /** Where its last tokens came from, and in which region when not in the gateway's own. */
  endpoint: v.optional(v.nullable(v.string()), null),
  region: v.optional(v.nullable(v.string()), null),
  /** For how long instances worked on it, in milliseconds: the sum over its calls. */
  busyMs: v.optional(v.number(), 0),
  /** What its caller is charged. */
  costNanodollars: v.number(),
  /** What the own instances cost for it, see `own-cost.ts`. */
  ownCostNanodollars: v.optional(v.nullable(v.number()), null),
  /** What the safety policy said of it; `null` when none has judged it. */
  verdicts: v.optional(v.nullable(verdictsSchema), null),
});

/** What nobody knows any more of a generation whose process died. */
export const UNKNOWN_RUN = {
  seedChosen: false,
  calls: [],
  endpoint: null,
  region: null,
  busyMs: 0,
  ownCostNanodollars: null,
  verdicts: null,
};

export type LedgerLine = v.InferOutput<typeof lineSchema>;

/** Lines are kept for this long. */
const KEPT_SECONDS = 400 * 24 * 3600;

export interface Ledger {
  /** @returns the line that stands: this one, or the one that somebody else wrote first. */
  write(line: LedgerLine): Promise<LedgerLine>;
  find(line: Pick<LedgerLine, 'organizationId' | 'startedAt' | 'generationId'>): Promise<LedgerLine | undefined>;
  /** Lines that started in [from, until), in milliseconds since the epoch, oldest first. */
  list(organizationId: string, from: number, until: number): AsyncGenerator<LedgerLine>;
}

export function createLedger(table: Table): Ledger {
  return {
    async write(line) {
      const change = {
        type: 'put',
        key: keyOf(line),
        attributes: line,
        expiresAt: Math.ceil(line.endedAt / 1000) + KEPT_SECONDS,
        if: [{ row: 'absent' }],
      } as const;
      const { written, row } = await table.write(change);
      return written || row === undefined ? line : v.parse(lineSchema, row.attributes);
    },
    async find(line) {
      const row = await table.read(keyOf(line));
      return row === undefined ? undefined : v.parse(lineSchema, row.attributes);
    },
    async *list(organizationId, from, until) {
      for (let month = startOfMonth(from); month < until; month = nextMonth(month)) {
        const partition = partitionOf(organizationId, month);
        let start = new Date(Math.max(from, month)).toISOString();
        const end = new Date(until).toISOString();
        for (;;) {
          const rows = await table.list(partition, { from: start, until: end, limit: PAGE });
          for (const row of rows) yield v.parse(lineSchema, row.attributes);
          const last = rows.at(-1);
          if (rows.length < PAGE || last === undefined) break;
          start = `${last.key.sort}\u0000`;
        }
      }
    },
  };
}

const PAGE = 500;

function keyOf({ organizationId, startedAt, generationId }: Pick<LedgerLine, 'organizationId' | 'startedAt' | 'generationId'>) {
  return { partition: partitionOf(organizationId, startedAt), sort: `${new Date(startedAt).toISOString()}/${generationId}` };
}

function partitionOf(organizationId: string, atMs: number): string {
  return `ledger/${organizationId}/${new Date(atMs).toISOString().slice(0, 7)}`;
}

function startOfMonth(atMs: number): number {
  return Date.UTC(new Date(atMs).getUTCFullYear(), new Date(atMs).getUTCMonth(), 1);
}

function nextMonth(atMs: number): number {
  return Date.UTC(new Date(atMs).getUTCFullYear(), new Date(atMs).getUTCMonth() + 1, 1);
}
