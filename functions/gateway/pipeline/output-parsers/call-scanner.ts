/**
 * Reads one call, `{"name": "…", "arguments": {…}}` (or `parameters`, in either order, other fields passed over), a character at a time.
 * Arguments flow as soon as the name is known; what comes before is kept, so that a text which turns out to be no call can be given back.
 * JSON grammar: RFC 8259; only as much of it is checked as is needed to find the borders of the values.
 */
export type CallEvent =
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'arguments'; readonly text: string }
  /** The object has closed. */
  | { readonly type: 'end' }
  /** This is no call, and nothing of it has been reported: everything read is text. */
  | { readonly type: 'no-call' };

type State = 'start' | 'key-or-end' | 'key' | 'colon' | 'value-start' | 'value' | 'comma-or-end' | 'done' | 'failed';

export class CallScanner {
  readonly #isTool: (name: string) => boolean;
  #state: State = 'start';
  #text = '';
  #key = '';
  #keyStart = 0;
  #valueStart = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #name: string | undefined;
  #arguments = '';
  #hasArguments = false;

  /** @param isTool tells whether the caller offered a tool of this name: another name is no call. */
  constructor(isTool: (name: string) => boolean) {
    this.#isTool = isTool;
  }

  /** Everything read so far. */
  get text(): string {
    return this.#text;
  }

  /** Whether the name has been reported: from then on this is a call, however it ends. */
  get isCall(): boolean {
    return this.#name !== undefined;
  }

  read(character: string): readonly CallEvent[] {
    this.#text += character;
    switch (this.#state) {
      case 'start':
        return isSpace(character) ? [] : this.#expect(character, '{', 'key-or-end');
      case 'key-or-end':
        if (character === '}') return this.#close();
        return this.#startKey(character);
      case 'key':
        return this.#readKey(character);
      case 'colon':
        return isSpace(character) ? [] : this.#expect(character, ':', 'value-start');
      case 'value-start':
        if (isSpace(character)) return [];
        this.#valueStart = this.#text.length - 1;
        this.#state = 'value';
        return this.#readValue(character);
      case 'value':
        return this.#readValue(character);
      case 'comma-or-end':
        if (isSpace(character)) return [];
        if (character === '}') return this.#close();
        return this.#expect(character, ',', 'key-or-end');
      case 'done':
      case 'failed':
        return [];
    }
  }

  #expect(character: string, wanted: string, next: State): readonly CallEvent[] {
    if (character !== wanted) return this.#fail();
    this.#state = next;
    return [];
  }

  #fail(): readonly CallEvent[] {
    this.#state = 'failed';
    return this.isCall ? [{ type: 'end' }] : [{ type: 'no-call' }];
  }

  #startKey(character: string): readonly CallEvent[] {
    if (isSpace(character)) return [];
    if (character !== '"') return this.#fail();
    this.#keyStart = this.#text.length - 1;
    this.#state = 'key';
    return [];
  }

  #readKey(character: string): readonly CallEvent[] {
    if (!this.#stringEnds(character)) return [];
    const key = parseString(this.#text.slice(this.#keyStart));
    if (key === undefined) return this.#fail();
    this.#key = key;
    this.#state = 'colon';
    return [];
  }

  /** Inside a string: whether this character closes it. */
  #stringEnds(character: string): boolean {
    if (this.#escaped) this.#escaped = false;
    else if (character === '\\') this.#escaped = true;
    else return character === '"';
    return false;
  }

  #readValue(character: string): readonly CallEvent[] {
    const isArguments = this.#key === 'arguments' || this.#key === 'parameters';
    const first = this.#text.length - 1 === this.#valueStart;
    if (isArguments && first && character !== '{') return this.#fail();
    if (this.#inString) {
      if (this.#stringEnds(character)) this.#inString = false;
    } else if (character === '"') this.#inString = true;
    else if (character === '{' || character === '[') this.#depth += 1;
    else if (character === '}' || character === ']' || character === ',') {
      // A bare value (number, true, null) has no closing mark of its own: what follows it closes it.
      if (this.#depth === 0)
        return character === ']'
          ? this.#fail()
          : [...this.#endValue(this.#text.slice(this.#valueStart, -1)), ...this.#afterBare(character)];
      if (character !== ',') this.#depth -= 1;
    }
    const events = isArguments ? this.#passArguments(character) : [];
    const closed = this.#depth === 0 && !this.#inString && (character === '"' || character === '}' || character === ']');
    return closed ? [...events, ...this.#endValue(this.#text.slice(this.#valueStart))] : events;
  }

  #afterBare(character: string): readonly CallEvent[] {
    if (this.#state === 'failed') return [];
    if (character === '}') return this.#close();
    this.#state = 'key-or-end';
    return [];
  }

  #passArguments(character: string): readonly CallEvent[] {
    this.#hasArguments = true;
    if (this.isCall) return [{ type: 'arguments', text: character }];
    this.#arguments += character;
    return [];
  }

  #endValue(text: string): readonly CallEvent[] {
    this.#state = 'comma-or-end';
    if (this.#key !== 'name' || this.isCall) return [];
    const name = parseString(text.trim());
    if (name === undefined || !this.#isTool(name)) return this.#fail();
    this.#name = name;
    const held = this.#arguments;
    this.#arguments = '';
    return [{ type: 'name', name }, ...(held === '' ? [] : [{ type: 'arguments', text: held } as const])];
  }

  #close(): readonly CallEvent[] {
    if (!this.isCall) return this.#fail();
    this.#state = 'done';
    // A tool without parameters may be called without arguments; OpenAI's clients expect an object all the same.
    return [...(this.#hasArguments ? [] : [{ type: 'arguments', text: '{}' } as const]), { type: 'end' }];
  }
}

function isSpace(character: string): boolean {
  return character === ' ' || character === '\n' || character === '\r' || character === '\t'; // RFC 8259 2
}

function parseString(json: string): string | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined; // not a JSON string: the caller takes it for text
  }
}
