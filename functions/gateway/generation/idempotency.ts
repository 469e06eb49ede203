/** One run for one `Idempotency-Key` of one API key: whoever comes first runs, the others read the same answer. */
import { IdempotencyConflictError } from '../errors.ts';
import type { Services } from '../services.ts';

/** Of the path and the body, as they were sent. */
export async function digestOf(path: string, body: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(`${path}\n${body}`));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export interface IdempotencyClaim {
  readonly ownerId: string;
  readonly key: string;
  /** Of the request: another one under the same key is a mistake. */
  readonly digest: string;
  readonly generationId: string;
  /** The process that runs it. */
  readonly runnerId: string;
  readonly keptSeconds: number;
}

/** @throws {IdempotencyConflictError} the key was used with another request. */
export async function claimIdempotencyKey(
  services: Pick<Services, 'table' | 'clock'>,
  claim: IdempotencyClaim,
): Promise<{ readonly isMine: boolean; readonly generationId: string }> {
  const { ownerId, key, digest, generationId, runnerId, keptSeconds } = claim;
  const { written, row } = await services.table.write({
    type: 'put',
    key: rowKey(ownerId, key),
    attributes: { generationId, digest, runnerId, at: services.clock.now() },
    expiresAt: Math.ceil(services.clock.now() / 1000) + keptSeconds,
    if: [{ row: 'absent' }],
  });
  if (written) return { isMine: true, generationId };
  if (row === undefined) return claimIdempotencyKey(services, claim); // released this moment
  if (row.attributes['digest'] !== digest) throw new IdempotencyConflictError();
  return { isMine: false, generationId: String(row.attributes['generationId']) };
}

/** Who holds a key: which generation, in which process, since when (milliseconds since the epoch). */
export interface KeyHolder {
  readonly generationId: string;
  readonly runnerId: string;
  readonly at: number;
}

export async function findKeyHolder({ table }: Pick<Services, 'table'>, ownerId: string, key: string): Promise<KeyHolder | undefined> {
  const row = await table.read(rowKey(ownerId, key));
  return row?.attributes as unknown as KeyHolder | undefined; // `claimIdempotencyKey` alone writes it
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
