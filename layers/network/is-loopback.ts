import { BlockList, isIP } from 'node:net';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4'); // RFC 1122 3.2.1.3
loopback.addAddress('::1', 'ipv6'); // RFC 4291 2.5.3

/** Whether a server at this address can be called from its own machine only. A name other than `localhost` is taken for reachable. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true; // RFC 6761 6.3
  const family = isIP(host);
  return family !== 0 && loopback.check(host, family === 6 ? 'ipv6' : 'ipv4');
}
