/** `GET /v1/usage`: what was used, from the ledger: a line for each generation, sums by day, model, key or project, as JSON or CSV. */
import * as v from 'valibot';
import { PermissionError } from '../errors.ts';
import type { LedgerLine } from '../generation/ledger.ts';
import type { Room } from '../generation/room.ts';
import { NANO } from '../keys/limits.ts';
import { parseBody } from '../openai/parse-body.ts';
import type { RouteContext } from './route-context.ts';

const time = v.pipe(v.string(), v.regex(/^\d{1,10}$/, 'must be a Unix time in seconds.'), v.transform(Number));
const GROUPS = ['day', 'model', 'api_key', 'project'] as const;

const querySchema = v.strictObject({
  start_time: v.optional(time),
  end_time: v.optional(time),
  /** Separated by commas; without it every generation is listed. */
  group_by: v.optional(
    v.pipe(
      v.string(),
      v.transform((text) => text.split(',').filter((part) => part !== '')),
      v.array(v.picklist(GROUPS, `must be any of ${GROUPS.join(', ')}, separated by commas.`)),
    ),
    '',
  ),
  format: v.optional(v.picklist(['json', 'csv'], 'must be json or csv.'), 'json'),
  organization_id: v.optional(v.pipe(v.string(), v.regex(/^[\w.-]{1,64}$/))),
});

const DAY_SECONDS = 86_400;

/** A key sees its own usage; one with the scope `admin` everybody's in its organisation, or in the one it names. */
export async function getUsage(c: RouteContext, room: Room): Promise<Response> {
  const query = parseBody(querySchema, c.req.query());
  const caller = c.get('caller');
  const isAdmin = caller.scopes.includes('admin');
  if (query.organization_id !== undefined && query.organization_id !== caller.organizationId && !isAdmin) {
    throw new PermissionError('This API key sees the usage of its own organisation only.');
  }
  const end = query.end_time ?? Math.floor(room.clock.now() / 1000) + 1;
  const start = query.start_time ?? end - 30 * DAY_SECONDS;
  const lines: LedgerLine[] = [];
  for await (const line of room.ledger.list(query.organization_id ?? caller.organizationId, start * 1000, end * 1000)) {
    if (isAdmin || line.keyId === caller.keyId) lines.push(line);
  }
  const rows = query.group_by.length === 0 ? lines.map(encodeLine) : sumBy(lines, query.group_by);
  if (query.format === 'json') return c.json({ object: 'list', start_time: start, end_time: end, data: rows });
  return new Response(encodeCsv(rows), {
    headers: { 'content-type': 'text/csv; charset=utf-8', 'content-disposition': 'attachment; filename="usage.csv"' },
  });
}

type UsageRow = Readonly<Record<string, string | number | null>>;

function encodeLine(line: LedgerLine): UsageRow {
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
    attempts: line.attempts,
    cost_dollars: line.costNanodollars / NANO,
  };
}

function sumBy(lines: readonly LedgerLine[], groups: readonly (typeof GROUPS)[number][]): readonly UsageRow[] {
  const sums = new Map<string, { names: UsageRow; requests: number; prompt: number; cached: number; completion: number; nano: number }>();
  for (const line of lines) {
    const all = {
      day: new Date(line.startedAt).toISOString().slice(0, 10),
      model: line.modelId,
      api_key: line.keyId,
      project: line.projectId,
    };
    const names = Object.fromEntries(groups.map((group) => [group, all[group]]));
    const key = JSON.stringify(names);
    const sum = sums.get(key) ?? { names, requests: 0, prompt: 0, cached: 0, completion: 0, nano: 0 };
    sum.requests += 1;
    sum.prompt += line.promptTokens;
    sum.cached += line.cachedPromptTokens;
    sum.completion += line.completionTokens;
    sum.nano += line.costNanodollars;
    sums.set(key, sum);
  }
  return [...sums.values()].map((sum) => ({
    ...sum.names,
    requests: sum.requests,
    prompt_tokens: sum.prompt,
    cached_prompt_tokens: sum.cached,
    completion_tokens: sum.completion,
    cost_dollars: sum.nano / NANO,
  }));
}

/** RFC 4180. A value that a spreadsheet would take for a formula is made a text. */
function encodeCsv(rows: readonly UsageRow[]): string {
  const [first] = rows;
  if (first === undefined) return '';
  const names = Object.keys(first);
  const cell = (value: string | number | null | undefined) => {
    const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value ?? '');
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((cells) => `${cells.map(cell).join(',')}\r\n`).join('');
}
