/** What a deployment costs when nobody calls, against how well it withstands trouble. `docs/operations.md` has the prices. */
export interface Profile {
  /** Copies of each model that always run, when the catalog asks for fewer. */
  readonly leastCopies: number;
  /** Environments of the gateway that are always warm. */
  readonly provisionedConcurrency: number;
  /** New code takes a tenth of the calls for five minutes, and goes back by itself when an alarm rises. */
  readonly gradualDeployment: boolean;
  /** AWS WAF in front. */
  readonly firewall: boolean;
  /** The table can be deleted only after this was switched off. */
  readonly deletionProtection: boolean;
  readonly logRetentionDays: 7 | 90;
  /** Client secrets are signed by a key in KMS, which nobody can read, instead of one in the table. */
  readonly signingKey: boolean;
  /** The public address is called from several continents every 30 seconds. */
  readonly probe: boolean;
  /** So often a canary makes a generation at the public address, in minutes; 0 for never. It keeps every model awake. */
  readonly canaryMinutes: number;
  /** Images by their digest only, so that AWS cannot renew what runs. */
  readonly pinnedImages: boolean;
}

export const PROFILES = {
  demo: {
    leastCopies: 0,
    provisionedConcurrency: 0,
    gradualDeployment: false,
    firewall: false,
    deletionProtection: false,
    logRetentionDays: 7,
    signingKey: false,
    probe: false,
    canaryMinutes: 0,
    pinnedImages: false,
  },
  production: {
    leastCopies: 1,
    provisionedConcurrency: 2,
    gradualDeployment: true,
    firewall: true,
    deletionProtection: true,
    logRetentionDays: 90,
    signingKey: true,
    probe: true,
    canaryMinutes: 5,
    pinnedImages: true,
  },
} as const satisfies Record<string, Profile>;
