/** Tries of one call, the first included: as many as the SDK makes of DynamoDB's calls. */
export const MAX_ATTEMPTS = 4;

const CONNECT_TIMEOUT_MS = 3_000;

/** For calls that are answered at once: a service that says nothing for so long is not waited for. */
export const CALL_TIMEOUTS = { connectionTimeout: CONNECT_TIMEOUT_MS, socketTimeout: 10_000 } as const;

/** For calls whose answer a model makes: how long that may take is decided by whoever waits. */
export const CONNECT_TIMEOUT = { connectionTimeout: CONNECT_TIMEOUT_MS } as const;
