type Cell = string | number | null | undefined;

/** Columns side by side, numbers to the right. A column of nothing is left out. */
export function printTable(columns: readonly string[], rows: readonly Readonly<Record<string, Cell>>[]): string {
  const shown = columns.filter((column) => rows.some((row) => row[column] !== undefined && row[column] !== null));
  const lines = [shown, ...rows.map((row) => shown.map((column) => printCell(row[column])))];
  const widths = shown.map((_, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0)));
  const isNumber = shown.map((column) => rows.some((row) => typeof row[column] === 'number'));
  const pad = (cell: string, index: number) =>
    isNumber[index] === true ? cell.padStart(widths[index] ?? 0) : cell.padEnd(widths[index] ?? 0);
  return lines.map((line) => `${line.map(pad).join('  ').trimEnd()}\n`).join('');
}

/** Money to the millionth, without a tail of noughts. */
function printCell(value: Cell): string {
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : String(Number(value.toFixed(6)));
  return value ?? '';
}
