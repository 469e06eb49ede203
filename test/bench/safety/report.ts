/** What a figure should be, and whether it is. */
export interface Goal {
  readonly text: string;
  readonly isMet: boolean;
}

/** A goal for one number. `unit` is written behind the bound. */
export const atLeast = (value: number, bound: number, unit = ''): Goal => ({ text: `>= ${bound}${unit}`, isMet: value >= bound });
export const atMost = (value: number, bound: number, unit = ''): Goal => ({ text: `<= ${bound}${unit}`, isMet: value <= bound });
export const both = (one: Goal, other: Goal): Goal => ({ text: `${one.text}, ${other.text}`, isMet: one.isMet && other.isMet });

/** Prints figures beside their goals, and keeps what was missed. */
export interface Report {
  title(text: string): void;
  /** Without a goal the figure is only shown. */
  line(what: string, figure: string, goal?: Goal): void;
  note(text: string): void;
  readonly missed: readonly string[];
}

export function createReport(): Report {
  const missed: string[] = [];
  return {
    title: (text) => console.log(`\n${text}`),
    line(what, figure, goal) {
      console.log(`  ${what.padEnd(62)} ${figure}${goal === undefined ? '' : `   [${goal.isMet ? 'met' : 'MISSED'}: ${goal.text}]`}`);
      if (goal?.isMet === false) missed.push(what);
    },
    note: (text) => console.log(`  ${text}`),
    missed,
  };
}

export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
