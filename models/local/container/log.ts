type Fields = Readonly<Record<string, string | number | boolean>>;

/** One JSON object a line. Fields are ids, counts, names and durations: never a prompt or a completion. */
export type Log = (level: 'info' | 'warn' | 'error', event: string, fields?: Fields) => void;

export function createLog(write: (line: string) => void): Log {
  return (level, event, fields = {}) => write(`${JSON.stringify({ time: new Date().toISOString(), level, event, ...fields })}\n`);
}
