/** Prints figures beside their goals. */
export interface Report {
  title(text: string): void;
  line(what: string, figure: string, goal: string): void;
  note(text: string): void;
}

export function createReport(): Report {
  return {
    title: (text) => console.log(`\n${text}`),
    line: (what, figure, goal) => console.log(`  ${what.padEnd(62)} ${figure}${goal === '' ? '' : `   [goal ${goal}]`}`),
    note: (text) => console.log(`  ${text}`),
  };
}
