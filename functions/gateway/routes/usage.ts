/** `GET /v1/usage`: what was used, from the ledger: a line for each generation, sums by day, model, key or project, as JSON or CSV. */
import { PermissionError } from '../errors.ts';
import type { LedgerLine } from '../generation/ledger.ts';
import type { Room } from '../generation/room.ts';
import { parseBody } from '../openai/parse-body.ts';
import { encodeCsv, encodeLine, flattenLine, sumLines, usageQuerySchema } from '../openai/usage.ts';
import type { RouteContext } from './route-context.ts';

const DAY_SECONDS = 86_400;

/** A key sees its own usage; one with the scope `admin` everybody's in its organisation, or in the one it names. */
export async function getUsage(c: RouteContext, room: Room): Promise<Response> {
  const query = parseBody(usageQuerySchema, c.req.query());
  const caller = c.get('caller');
  const isAdmin = caller.scopes.includes('admin');
  if (query.organization_id !== undefined && query.organization_id !== caller.organizationId && !isAdmin) {
    throw new PermissionError('This API key sees the usage of its own organisation only.');
  }
  const end = query.end_time ?? Math.floor(room.clock.now() / 1000) + 1;
  const start = query.start_time ?? end - 30 * DAY_SECONDS;
  const found: LedgerLine[] = [];
  for await (const line of room.ledger.list(query.organization_id ?? caller.organizationId, start * 1000, end * 1000)) {
    if (isAdmin || line.keyId === caller.keyId) found.push(line);
  }
  const lines = found.map(encodeLine);
  const sums = query.group_by.length === 0 ? undefined : sumLines(found, query.group_by);
  if (query.format === 'json') return c.json({ object: 'list', start_time: start, end_time: end, data: sums ?? lines });
  return new Response(encodeCsv(sums ?? lines.map(flattenLine)), {
    headers: { 'content-type': 'text/csv; charset=utf-8', 'content-disposition': 'attachment; filename="usage.csv"' },
  });
}
