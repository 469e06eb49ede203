/** What clients report, a line a case: `ok`, `FAIL` or `skip`, client, case and a detail, between tabs. */

/** What every client is asked for, as the columns of the table; what a client does beyond them is counted in the last one. */
const CASES = ['chat', 'stream', 'tools', 'json-schema', 'embeddings', 'responses', 'errors'] as const;

export interface CaseResult {
  readonly client: string;
  readonly case: string;
  readonly outcome: 'ok' | 'FAIL' | 'skip';
  readonly detail: string;
}

/** Lines that are no results are the client's own chatter. */
export function readResults(output: string): readonly CaseResult[] {
  return output.split('\n').flatMap((line) => {
    const [outcome, client = '', name = '', detail = ''] = line.split('\t');
    return outcome === 'ok' || outcome === 'FAIL' || outcome === 'skip' ? [{ outcome, client, case: name, detail }] : [];
  });
}

/** A row a client, a column a case, then why some were skipped and how others failed, then the sum. */
export function describeResults(results: readonly CaseResult[]): string {
  const rows = [...new Set(results.map((result) => result.client))].map((client) => {
    const own = results.filter((result) => result.client === client);
    const others = own.filter((result) => !CASES.some((name) => name === result.case));
    return [client, ...CASES.map((name) => own.find((result) => result.case === name)?.outcome ?? '-'), countOk(others)];
  });
  const table = [['client', ...CASES, 'others'], ...rows];
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  const lines = table.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`);
  const notes = results
    .filter(({ outcome }) => outcome !== 'ok')
    .map(({ outcome, client, case: name, detail }) => `${outcome}  ${client}, ${name}: ${detail}`);
  const count = (wanted: CaseResult['outcome']) => results.filter(({ outcome }) => outcome === wanted).length;
  return [...lines, '', ...notes, '', `${count('ok')} passed, ${count('FAIL')} failed, ${count('skip')} skipped`].join('\n');
}

function countOk(results: readonly CaseResult[]): string {
  if (results.length === 0) return '';
  return `${results.filter(({ outcome }) => outcome === 'ok').length} of ${results.length}`;
}
