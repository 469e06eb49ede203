/** Bytes: what a cold start of either gateway reads and compiles, loader included. */
export const BUNDLE_BUDGET = 600_000;
