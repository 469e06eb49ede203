/** `GET /v1/usage` in its own words: what may be asked, and what a line and a sum of the ledger look like as JSON and as CSV. */
import * as v from 'valibot';
import type { LedgerLine } from '../generation/ledger.ts';
import { NANO } from '../keys/limits.ts';

const time = v.pipe(v.string(), v.regex(/^\d{1,10}$/, 'must be a Unix time in seconds.'), v.transform(Number));
const USAGE_GROUPS = ['day', 'model', 'api_key', 'project'] as const;
export type UsageGroup = (typeof USAGE_GROUPS)[number];

export const usageQuerySchema = v.strictObject({
  start_time: v.optional(time),
  end_time: v.optional(time),
  /** Separated by commas; without it every generation is listed. */
  group_by: v.optional(
    v.pipe(
      v.string(),
      v.transform((text) => text.split(',').filter((part) => part !== '')),
      v.array(v.picklist(USAGE_GROUPS, `must be any of ${USAGE_GROUPS.join(', ')}, separated by commas.`)),
    ),
    '',
  ),
  format: v.optional(v.picklist(['json', 'csv'], 'must be json or csv.'), 'json'),
  organization_id: v.optional(v.pipe(v.string(), v.regex(/^[\w.-]{1,64}$/))),
});

const counts = v.record(v.string(), v.number());

const lineSchema = v.strictObject({
  generation_id: v.string(),
  request_id: v.string(),
  project_id: v.string(),
  api_key_id: v.string(),
  model: v.string(),
  /** `completed`, `stopped` (a stop sequence or a filter), `cut` (the budget), `cancelled`, `failed`. */
  status: v.string(),
  started_at: v.string(),
  duration_ms: v.number(),
  first_token_ms: v.nullable(v.number()),
  prompt_tokens: v.number(),
  cached_prompt_tokens: v.number(),
  completion_tokens: v.number(),
  /** Where the last tokens came from; `region` when that is not the gateway's own. */
  endpoint: v.nullable(v.string()),
  region: v.nullable(v.string()),
  /** Sampled by a seed that the gateway chose. */
  seed_chosen: v.boolean(),
  attempts: v.number(),
  calls: v.array(v.strictObject({ endpoint: v.string(), region: v.nullable(v.string()), outcome: v.string(), count: v.number() })),
  /** For how long instances worked on it. */
  busy_seconds: v.number(),
  /** What the caller is charged, and what the own instances cost. */
  cost_dollars: v.number(),
  own_cost_dollars: v.nullable(v.number()),
  /** How often the policy found what: labels, never text. */
  safety: v.nullable(
    v.strictObject({ policy_digest: v.string(), action: v.string(), dry_run: v.boolean(), input: counts, output: counts }),
  ),
});

const sumSchema = v.strictObject({
  day: v.optional(v.string()),
  model: v.optional(v.string()),
  api_key: v.optional(v.string()),
  project: v.optional(v.string()),
  requests: v.number(),
  prompt_tokens: v.number(),
  cached_prompt_tokens: v.number(),
  completion_tokens: v.number(),
  busy_seconds: v.number(),
  cost_dollars: v.number(),
  own_cost_dollars: v.nullable(v.number()),
});

export const usageAnswerSchema = v.strictObject({
  object: v.literal('list'),
  start_time: v.number(),
  end_time: v.number(),
  /** A sum for each group, or with no `group_by` each generation. */
  data: v.union([v.array(lineSchema), v.array(sumSchema)]),
});

export type UsageLine = v.InferOutput<typeof lineSchema>;
type UsageSum = v.InferOutput<typeof sumSchema>;
/** Flat, for a table. */
type Cells = Readonly<Record<string, string | number | null | undefined>>;

export function encodeLine(line: LedgerLine): UsageLine {
  const { verdicts } = line;
  return {
    generation_id: line.generationId,
    request_id: line.requestId,
    project_id: line.projectId,
    api_key_id: line.keyId,
    model: line.modelId,
    status: line.phase,
    started_at: new Date(line.startedAt).toISOString(),
    duration_ms: line.endedAt - line.startedAt,
    first_token_ms: line.firstTokenMs,
    prompt_tokens: line.promptTokens,
    cached_prompt_tokens: line.cachedPromptTokens,
    completion_tokens: line.completionTokens,
    endpoint: line.endpoint,
    region: line.region,
    seed_chosen: line.seedChosen,
    attempts: line.attempts,
    calls: line.calls,
    busy_seconds: line.busyMs / 1000,
    cost_dollars: line.costNanodollars / NANO,
    own_cost_dollars: toDollars(line.ownCostNanodollars),
    safety: verdicts && {
      policy_digest: verdicts.policyDigest,
      action: verdicts.action,
      dry_run: verdicts.dryRun,
      input: verdicts.input,
      output: verdicts.output,
    },
  };
}

/** A line in cells: of calls `2 broken at penstock-gpt; 1 answered at penstock-other`. */
export function flattenLine({ calls, safety, seed_chosen: isSeedChosen, ...figures }: UsageLine): Cells {
  const labels = (found: Readonly<Record<string, number>> = {}) =>
    listed(Object.entries(found).map(([label, count]) => `${count} ${label}`));
  return {
    ...figures,
    seed_chosen: String(isSeedChosen),
    calls: listed(
      calls.map(({ endpoint, region, outcome, count }) => `${count} ${outcome} at ${endpoint}${region === null ? '' : ` in ${region}`}`),
    ),
    safety_policy_digest: safety?.policy_digest ?? null,
    safety_action: safety && (safety.dry_run ? `${safety.action} (dry run)` : safety.action),
    safety_input: labels(safety?.input),
    safety_output: labels(safety?.output),
  };
}

/** One row for each combination of what is grouped by. */
export function sumLines(lines: readonly LedgerLine[], groups: readonly UsageGroup[]): readonly UsageSum[] {
  const sums = new Map<string, { readonly names: Readonly<Record<string, string>>; readonly lines: LedgerLine[] }>();
  for (const line of lines) {
    const all = {
      day: new Date(line.startedAt).toISOString().slice(0, 10),
      model: line.modelId,
      api_key: line.keyId,
      project: line.projectId,
    };
    const names = Object.fromEntries(groups.map((group) => [group, all[group]]));
    const key = JSON.stringify(names);
    const sum = sums.get(key);
    if (sum === undefined) sums.set(key, { names, lines: [line] });
    else sum.lines.push(line);
  }
  return [...sums.values()].map(({ names, lines: those }) => {
    const total = (of: (line: LedgerLine) => number | null) => those.reduce((sum, line) => sum + (of(line) ?? 0), 0);
    const isPriced = those.some((line) => line.ownCostNanodollars !== null);
    return {
      ...names,
      requests: those.length,
      prompt_tokens: total((line) => line.promptTokens),
      cached_prompt_tokens: total((line) => line.cachedPromptTokens),
      completion_tokens: total((line) => line.completionTokens),
      busy_seconds: total((line) => line.busyMs) / 1000,
      cost_dollars: total((line) => line.costNanodollars) / NANO,
      own_cost_dollars: isPriced ? total((line) => line.ownCostNanodollars) / NANO : null,
    };
  });
}

/** RFC 4180. A value that a spreadsheet would take for a formula is made a text. */
export function encodeCsv(rows: readonly Cells[]): string {
  const [first] = rows;
  if (first === undefined) return '';
  const names = Object.keys(first);
  const cell = (value: string | number | null | undefined) => {
    const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value ?? '');
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((cells) => `${cells.map(cell).join(',')}\r\n`).join('');
}

function listed(parts: readonly string[]): string {
  return parts.join('; ');
}

function toDollars(nanodollars: number | null): number | null {
  return nanodollars === null ? null : nanodollars / NANO;
}
