import type { GatewayConfig } from '../config.ts';

/** The CDN's function puts the host here that the caller named; the header `host` itself is the function's own address by then. */
export const PUBLIC_HOST_HEADER = 'x-penstock-host';

/** A host name, with a port or without. */
const HOST = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/i;

/**
 * Tells what a caller sees before the path, for proofs of possession: the setting; else the host by which our CDN was called, where only our
 * CDN can call (it overwrites the header, and `verifyOrigin` has checked its secret); else the request's own address.
 */
export function createPublicOrigin({
  publicOrigin,
  originSecretHash,
}: Pick<GatewayConfig, 'publicOrigin' | 'originSecretHash'>): (request: Request) => string {
  return function findPublicOrigin(request) {
    if (publicOrigin !== undefined) return publicOrigin;
    const host = originSecretHash === undefined ? null : request.headers.get(PUBLIC_HOST_HEADER);
    return host !== null && HOST.test(host) ? `https://${host}` : new URL(request.url).origin;
  };
}
