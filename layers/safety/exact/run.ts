/** A piece of folded text that a recogniser looks at: words without spaces, or groups of digits with single spaces between them. */
import type { PiiKind, SecretKind } from '../span.ts';
import type { RunTraits } from './run-traits.ts';

/** Words shortly before a value that say what it is: "born", "password:", "SSN". */
export type ContextName =
  | 'birth'
  | 'phone'
  | 'secret'
  | 'version'
  | 'not-secret'
  | 'us-ssn'
  | 'us-itin'
  | 'uk-nhs'
  | 'uk-nino'
  | 'ca-sin'
  | 'de-tax'
  | 'nl-bsn'
  | 'pl-pesel'
  | 'au-tfn'
  | 'in-aadhaar'
  | 'in-pan'
  | 'br-cpf'
  | 'se-personnummer'
  | 'cn-id'
  | 'jp-my-number'
  | 'kr-rrn'
  | 'es-dni'
  | 'fr-insee'
  | 'it-codice-fiscale';

export interface Run {
  /** One UTF-16 code unit for each folded code point. */
  readonly text: string;
  readonly traits: RunTraits;
  /** Code point before the run, -1 at the start of the text. */
  readonly before: number;
  /** False when the run goes on behind a window of its own length: what reaches the end may be longer. */
  readonly isOver: boolean;
  /** Whether such a word stands at most `distance` characters before the offset. */
  hasContext(name: ContextName, offset: number, distance: number): boolean;
  /** Whether `hasContext` may be true for any offset of the run. */
  mayHaveContext(name: ContextName, distance: number): boolean;
  /** Answers of costly checks in this text, by what was checked: what is repeated is checked once. */
  readonly answers: Map<string, boolean>;
}

/** Reports a match by its offsets in `run.text`. A match that overlaps an earlier one is dropped: recognisers run in order of trust. */
export type ReportMatch = (kind: PiiKind | SecretKind, start: number, end: number, rule: string) => void;
export type Recogniser = (run: Run, report: ReportMatch) => void;

/** Code before `offset`, -1 when there is none. */
export function codeBefore(run: Run, offset: number): number {
  return offset > 0 ? run.text.charCodeAt(offset - 1) : run.before;
}
