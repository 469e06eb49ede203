/** Node's error of a connection that the other side has closed: of a kept-alive one, that nothing was answered on it. */
export function isConnectionLost(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}
