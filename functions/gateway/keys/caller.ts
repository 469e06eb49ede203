import type { Limits } from './limits.ts';

/** What a key may be used for. `generate` is everything that answers; `admin` is keys, limits and everyone's usage. */
export const SCOPES = ['generate', 'client_secrets', 'usage', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** When there is too little capacity, the lowest class is shed first. */
export const PRIORITIES = ['low', 'normal', 'high'] as const;
export type Priority = (typeof PRIORITIES)[number];

/** One thing whose spending is counted and limited. */
export interface MeterScope {
  /** `key/ID`, `project/ID`, `organization/ID` or `client/ID`. */
  readonly name: string;
  readonly limits: Limits;
}

/** Who is calling. */
export interface Caller {
  readonly keyId: string;
  /** Whose stored answers and objects it sees: the key's, or with a client secret the device's. */
  readonly ownerId: string;
  readonly projectId: string;
  readonly organizationId: string;
  readonly scopes: readonly Scope[];
  /** Models that may be used; `undefined` means all. */
  readonly models: readonly string[] | undefined;
  readonly priority: Priority;
  /** The key's own first, then whatever stands above it and has limits. */
  readonly meters: readonly MeterScope[];
}
