import type { Log } from '../gateway/services.ts';

/** One JSON object a line, as CloudWatch Logs and everything else reads them. */
export function createJsonLog(write: (line: string) => void): Log {
  return {
    write(level, event, fields = {}) {
      write(`${JSON.stringify({ time: new Date().toISOString(), level, event, ...fields })}\n`);
    },
  };
}
