import type { Server } from 'node:http';

/**
 * On SIGTERM or Ctrl-C the server takes no new connection, and running answers end by themselves; then the process exits with 0. What is
 * left after `drainSeconds`, or at a second signal, is cut, and the process exits with 1.
 * @param onDrain is told of the first signal.
 */
export function drainOnSignal(
  server: Pick<Server, 'close' | 'closeIdleConnections'>,
  drainSeconds: number,
  onDrain: (signal: NodeJS.Signals) => void,
): void {
  let draining = false;
  const stop = (signal: NodeJS.Signals) => {
    if (draining) process.exit(1);
    draining = true;
    onDrain(signal);
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    // A connection that has just answered stays open for its next request: it is idle now, and nobody else would close it.
    setInterval(() => server.closeIdleConnections(), 100).unref();
    setTimeout(() => process.exit(1), drainSeconds * 1000).unref();
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}
