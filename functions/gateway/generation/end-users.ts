/**
 * What is kept of each end user of a caller (OpenAI's `user` and `safety_identifier`), so that all of it can be deleted at once. One row for each
 * kept answer, below `user/ORGANISATION/HASH`. The hash is an HMAC under a random secret of the organisation: a row does not name its
 * user, and nobody can tell that two organisations have the same one.
 */
import type { Attributes, Table } from '../services/table.ts';
import type { Clock } from '../services.ts';

/** Who an answer is for, and under which names it is kept. */
export interface EndUserTrace {
  /** Usually one; two when a request names both `user` and `safety_identifier`. */
  readonly users: readonly string[];
  readonly responseId?: string;
  readonly conversationId?: string;
}

export interface KeptAnswer {
  readonly generationId: string;
  /** Whose it is, as stores name owners. */
  readonly ownerId: string;
  readonly responseId?: string;
  readonly conversationId?: string;
}

export interface EndUsers {
  /** Before anything of the answer is written. @param keptSeconds how long anything of it can be there; conversations have no end. */
  note(organizationId: string, trace: EndUserTrace, kept: Pick<KeptAnswer, 'generationId' | 'ownerId'>, keptSeconds: number): Promise<void>;
  /** Oldest first. */
  list(organizationId: string, user: string): Promise<readonly KeptAnswer[]>;
  /** What was listed is gone. */
  remove(organizationId: string, user: string, generationId: string): Promise<void>;
}

type HmacKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

export function createEndUsers(table: Table, clock: Clock): EndUsers {
  const secrets = new Map<string, Promise<HmacKey>>();
  const secretOf = (organizationId: string): Promise<HmacKey> => {
    const known = secrets.get(organizationId);
    if (known !== undefined) return known;
    const found = findOrMakeSecret(table, organizationId);
    secrets.set(organizationId, found);
    found.catch(() => secrets.delete(organizationId)); // an outage is not remembered
    return found;
  };
  const partitionOf = async (organizationId: string, user: string) => {
    const signature = await crypto.subtle.sign('HMAC', await secretOf(organizationId), new TextEncoder().encode(user));
    return `user/${organizationId}/${Buffer.from(signature).toString('hex')}`;
  };

  return {
    async note(organizationId, { users, responseId, conversationId }, { generationId, ownerId }, keptSeconds) {
      const attributes = {
        ownerId,
        ...(responseId === undefined ? {} : { responseId }),
        ...(conversationId === undefined ? {} : { conversationId }),
      };
      const expiry = conversationId === undefined ? { expiresAt: Math.ceil(clock.now() / 1000) + keptSeconds } : {};
      await Promise.all(
        users.map(async (user) => {
          const key = { partition: await partitionOf(organizationId, user), sort: generationId };
          await table.write({ type: 'put', key, attributes, ...expiry });
        }),
      );
    },
    async list(organizationId, user) {
      const rows = await table.list(await partitionOf(organizationId, user));
      return rows.map(({ key, attributes }) => ({ generationId: key.sort, ...readTrace(attributes) }));
    },
    async remove(organizationId, user, generationId) {
      await table.write({ type: 'delete', key: { partition: await partitionOf(organizationId, user), sort: generationId } });
    },
  };
}

function readTrace({ ownerId, responseId, conversationId }: Attributes) {
  return {
    ownerId: String(ownerId),
    ...(typeof responseId === 'string' ? { responseId } : {}),
    ...(typeof conversationId === 'string' ? { conversationId } : {}),
  };
}

/** Whoever writes first decides. */
async function findOrMakeSecret(table: Table, organizationId: string): Promise<HmacKey> {
  const { row } = await table.write({
    type: 'put',
    key: { partition: 'user-secrets', sort: organizationId },
    attributes: { secret: Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('hex') },
    if: [{ row: 'absent' }],
  });
  const secret = row?.attributes['secret'];
  if (typeof secret !== 'string') throw new Error(`the organisation ${organizationId} has no secret for its users`);
  return crypto.subtle.importKey('raw', Buffer.from(secret, 'hex'), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
}
