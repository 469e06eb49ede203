/** One run for one `Idempotency-Key` of one API key: whoever comes first runs, the others read the same answer. */
import { IdempotencyConflictError } from '../errors.ts';
import type { Services } from '../services.ts';

const KEPT_SECONDS = 24 * 3600;

/** Of the path and the body, as they were sent. */
export async function digestOf(path: string, body: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(`${path}\n${body}`));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @throws {IdempotencyConflictError} the key was used with another request. */
export async function claimIdempotencyKey(
  { table, clock }: Pick<Services, 'table' | 'clock'>,
  ownerId: string,
  key: string,
  digest: string,
  generationId: string,
): Promise<{ readonly isMine: boolean; readonly generationId: string }> {
  const { written, row } = await table.write({
    type: 'put',
    key: rowKey(ownerId, key),
    attributes: { generationId, digest },
    expiresAt: Math.ceil(clock.now() / 1000) + KEPT_SECONDS,
    if: [{ row: 'absent' }],
  });
  if (written) return { isMine: true, generationId };
  if (row === undefined) return claimIdempotencyKey({ table, clock }, ownerId, key, digest, generationId); // released this moment
  if (row.attributes['digest'] !== digest) throw new IdempotencyConflictError();
  return { isMine: false, generationId: String(row.attributes['generationId']) };
}

export async function findIdempotentGeneration(
  { table }: Pick<Services, 'table'>,
  ownerId: string,
  key: string,
): Promise<string | undefined> {
  const row = await table.read(rowKey(ownerId, key));
  const generationId = row?.attributes['generationId'];
  return typeof generationId === 'string' ? generationId : undefined;
}

/** Only the generation that holds the key lets go of it. */
export async function releaseIdempotencyKey(
  { table }: Pick<Services, 'table'>,
  ownerId: string,
  key: string,
  generationId: string,
): Promise<void> {
  await table.write({ type: 'delete', key: rowKey(ownerId, key), if: [{ attribute: 'generationId', equals: generationId }] });
}

function rowKey(ownerId: string, key: string) {
  return { partition: `idempotency/${ownerId}`, sort: key };
}
