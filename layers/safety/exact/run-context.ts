/** Remembers the words that say what the next value is. Only the last place of each is kept: the nearest one decides. */
import type { FoldedText } from '../text/folded-text.ts';
import { isAlphanumeric, isLetter, isLower, isUpper } from './characters.ts';
import type { ContextName } from './run.ts';

/** Of ASCII letters and digits: `api_key` is read as two words, and `key` is one of these. */
const words: Readonly<Record<ContextName, string>> = {
  birth: 'born birth birthday birthdate dob birthdays bday geboren geburtsdatum naissance nacimiento nascita',
  phone:
    'phone tel telephone call mobile cell cellphone fax sms text whatsapp dial number phones handy telefon telefono contact reach hotline ring',
  secret:
    'password passwd passwort pwd pass passphrase passcode secret token apikey key auth authorization bearer credential credentials accountkey sharedaccesskey contrasena',
  version: 'version v ver release build versions chapter section clause rev oid firmware',
  'not-secret': 'sha sha1 sha256 sha512 md5 checksum digest hash commit integrity etag fingerprint uuid guid nonce signature',
  'us-ssn': 'ssn social ssns',
  'us-itin': 'itin taxpayer',
  'uk-nhs': 'nhs',
  'uk-nino': 'nino insurance ni',
  'ca-sin': 'sin insurance',
  'de-tax': 'steuer steuernummer steueridentifikationsnummer idnr tin',
  'nl-bsn': 'bsn burgerservicenummer',
  'pl-pesel': 'pesel',
  'au-tfn': 'tfn',
  'in-aadhaar': 'aadhaar aadhar uidai',
  'in-pan': 'pan',
  'br-cpf': 'cpf',
  'se-personnummer': 'personnummer',
  'cn-id': 'id',
  'jp-my-number': 'mynumber',
  'kr-rrn': 'rrn',
  'es-dni': 'dni nie nif',
  'fr-insee': 'insee nir secu',
  'it-codice-fiscale': 'codice fiscale',
};

const names = Object.keys(words) as ContextName[];
const indexOf = new Map(names.map((name, index) => [name, index]));
/** Contexts of a word, as indices into `names`. */
const contextsOf = new Map<string, readonly number[]>();
names.forEach((name, index) => {
  for (const word of words[name].split(' ')) contextsOf.set(word, [...(contextsOf.get(word) ?? []), index]);
});
const longestWord = Math.max(...[...contextsOf.keys()].map((word) => word.length));
/** By the length of a word, one bit for each letter that a word of the table may begin with: few words of a text need be looked up. */
const firstLetters = new Uint32Array(longestWord + 1);
for (const word of contextsOf.keys()) firstLetters[word.length] = (firstLetters[word.length] ?? 0) | letterBit(word.charCodeAt(0));
const never = -1_000_000;
/** One bit for each letter of either case. */
function letterBit(code: number): number {
  return 1 << (code & 31);
}

export class RunContext {
  readonly #last = names.map(() => never);
  readonly #previous = names.map(() => never);

  /** Looks at the words from index `start` to `end` of the text. */
  note(text: FoldedText, start: number, end: number): void {
    let wordStart = start;
    let wasLower = false;
    for (let index = start; index < end; index += 1) {
      const code = text.at(index);
      // A change from lower to upper case begins a new word: "clientSecret", "awsSecretAccessKey".
      if (!isAlphanumeric(code) || (wasLower && isUpper(code))) {
        this.#noteWord(text, wordStart, index);
        wordStart = isAlphanumeric(code) ? index : index + 1;
      }
      wasLower = isLower(code);
    }
    this.#noteWord(text, wordStart, end);
  }

  /** Whether the word ended at most `distance` characters before `index`. */
  has(name: ContextName, index: number, distance: number): boolean {
    const which = indexOf.get(name) ?? 0;
    const isNear = (end: number) => end <= index && index - end <= distance;
    return isNear(this.#last[which] ?? never) || isNear(this.#previous[which] ?? never);
  }

  /** Whether the word ended at `index` or after it. */
  hasSince(name: ContextName, index: number): boolean {
    return (this.#last[indexOf.get(name) ?? 0] ?? never) >= index;
  }

  #noteWord(text: FoldedText, start: number, end: number): void {
    // None of the words begins with a digit.
    const mayBe =
      end - start <= longestWord && isLetter(text.at(start)) && ((firstLetters[end - start] ?? 0) & letterBit(text.at(start))) !== 0;
    if (!mayBe) return;
    for (const which of contextsOf.get(text.slice(start, end).toLowerCase()) ?? []) {
      this.#previous[which] = this.#last[which] ?? never;
      this.#last[which] = end;
    }
  }
}
