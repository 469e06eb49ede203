/** Remembers the words that say what the next value is. Only the last place of each is kept: the nearest one decides. */
import { isAlphanumeric, isDigit, isLetter, isLower, isUpper } from './characters.ts';
import type { ContextName } from './run.ts';

const words: Readonly<Record<ContextName, string>> = {
  birth: 'born birth birthday birthdate dob birthdays bday geboren geburtsdatum naissance nacimiento nascita',
  phone:
    'phone tel telephone call mobile cell cellphone fax sms text whatsapp dial number phones handy telefon telefono contact reach hotline ring',
  secret:
    'password passwd passwort pwd pass passphrase passcode secret token apikey api_key key access_key secret_key auth authorization bearer credential credentials client_secret private_key accountkey sharedaccesskey contrasena',
  version: 'version v ver release build versions chapter section clause rev oid firmware',
  'not-secret': 'sha sha1 sha256 sha512 md5 checksum digest hash commit integrity etag fingerprint uuid guid nonce signature',
  'us-ssn': 'ssn social ssns',
  'us-itin': 'itin taxpayer',
  'uk-nhs': 'nhs',
  'uk-nino': 'nino insurance ni',
  'ca-sin': 'sin insurance',
  'de-tax': 'steuer steuernummer steueridentifikationsnummer idnr tin steuer-id',
  'nl-bsn': 'bsn burgerservicenummer',
  'pl-pesel': 'pesel',
  'au-tfn': 'tfn',
  'in-aadhaar': 'aadhaar aadhar uidai',
  'in-pan': 'pan',
  'br-cpf': 'cpf',
  'se-personnummer': 'personnummer',
  'cn-id': 'id 身份证',
  'jp-my-number': 'mynumber my_number',
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
const never = -1_000_000;

export class RunContext {
  readonly #last = new Float64Array(names.length).fill(never);
  readonly #previous = new Float64Array(names.length).fill(never);

  /** Looks at the words in `token`, which begins at index `start` of the folded text. */
  note(token: string, start: number): void {
    for (let index = 0; index < token.length; index += 1) {
      if (!isAlphanumeric(token.charCodeAt(index))) continue;
      let end = index + 1;
      // A change from lower to upper case begins a new word: "clientSecret", "awsSecretAccessKey".
      while (
        end < token.length &&
        isPartOfWord(token.charCodeAt(end)) &&
        !(isLower(token.charCodeAt(end - 1)) && isUpper(token.charCodeAt(end)))
      )
        end += 1;
      // None of the words begins with a digit.
      if (end - index <= longestWord && !isDigit(token.charCodeAt(index)))
        this.#noteWord(token.slice(index, end).toLowerCase(), start + end);
      index = end - 1;
    }
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

  #noteWord(word: string, end: number): void {
    for (const which of contextsOf.get(word) ?? []) {
      this.#previous[which] = this.#last[which] ?? never;
      this.#last[which] = end;
    }
  }
}

const isPartOfWord = (code: number) => isLetter(code) || isAlphanumeric(code);
