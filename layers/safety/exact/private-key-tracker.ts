/**
 * Private keys in PEM (RFC 7468, OpenSSH, PGP). The header makes it certain: from there to the footer everything is swallowed, so that a key
 * of many lines is never held. Without a footer the key ends where its alphabet does.
 */
import { isAlphanumeric, isDigit, isUpper } from './characters.ts';

const [newline, space, hyphen, colon] = [10, 32, 45, 58];
const opening = 'BEGIN ';
const longestLabel = 48;
const privateLabel = /PRIVATE KEY(?: BLOCK)?$/;
const bodySigns = new Set([...'+/=:,\\- \t\r\n'].map((sign) => sign.charCodeAt(0)));

export interface PrivateKeyListener {
  opened(start: number): void;
  closed(end: number): void;
}

export class PrivateKeyTracker {
  readonly #listener: PrivateKeyListener;
  #state: 'text' | 'opening' | 'label' | 'label-end' | 'body' | 'footer' = 'text';
  #start = 0;
  #hyphens = 0;
  #matched = 0;
  #label = '';
  #isHeaderLine = false;
  #closedAt = -1;

  constructor(listener: PrivateKeyListener) {
    this.#listener = listener;
  }

  get #isSwallowing(): boolean {
    return this.#state === 'body' || this.#state === 'footer';
  }

  heldFrom(length: number): number {
    if (this.#isSwallowing) return length;
    if (this.#state !== 'text') return this.#start;
    return length - Math.min(this.#hyphens, 5);
  }

  /** The code at `index` has arrived. Tells whether it belongs to a key. */
  advance(index: number, code: number): boolean {
    if (code !== hyphen && this.#hyphens === 0 && this.#state === 'text') return false;
    const closed = this.#closedAt;
    this.#read(index, code);
    return this.#isSwallowing || (this.#closedAt !== closed && this.#closedAt > index);
  }

  #read(index: number, code: number): void {
    switch (this.#state) {
      case 'text':
        this.#readText(index, code);
        return;
      case 'opening':
        if (code !== opening.charCodeAt(this.#matched)) this.#startAgain(index, code);
        else if (++this.#matched === opening.length) this.#state = 'label';
        return;
      case 'label':
        if (code === hyphen && privateLabel.test(this.#label)) {
          this.#state = 'label-end';
          this.#hyphens = 1;
        } else if ((isUpper(code) || isDigit(code) || code === space) && this.#label.length < longestLabel) {
          this.#label += String.fromCharCode(code);
        } else this.#startAgain(index, code);
        return;
      case 'label-end':
        if (code !== hyphen) this.#startAgain(index, code);
        else if (++this.#hyphens === 5) this.#openBody();
        return;
      case 'body':
        this.#readBody(index, code);
        return;
      case 'footer':
        if (code === hyphen) {
          this.#hyphens += 1;
          if (this.#hyphens === 5) this.#close(index + 1);
        } else if (!isUpper(code) && !isDigit(code) && code !== space) {
          this.#close(index);
          this.#startAgain(index, code);
        }
    }
  }

  end(length: number): void {
    if (this.#isSwallowing) this.#listener.closed(length);
    this.#state = 'text';
    this.#hyphens = 0;
  }

  #readText(index: number, code: number): void {
    if (code === hyphen) {
      this.#hyphens += 1;
      return;
    }
    if (this.#hyphens >= 5 && code === opening.charCodeAt(0)) {
      this.#state = 'opening';
      this.#start = index - 5;
      this.#matched = 1;
      this.#label = '';
    }
    this.#hyphens = 0;
  }

  #startAgain(index: number, code: number): void {
    this.#state = 'text';
    this.#hyphens = 0;
    this.#readText(index, code);
  }

  #openBody(): void {
    this.#state = 'body';
    this.#hyphens = 0;
    this.#isHeaderLine = false;
    this.#listener.opened(this.#start);
  }

  #readBody(index: number, code: number): void {
    if (this.#hyphens >= 5 && code === 69) {
      this.#state = 'footer';
      this.#hyphens = 0;
      return;
    }
    this.#hyphens = code === hyphen ? this.#hyphens + 1 : 0;
    if (code === colon) this.#isHeaderLine = true;
    if (code === newline) this.#isHeaderLine = false;
    if (isAlphanumeric(code) || bodySigns.has(code) || this.#isHeaderLine) return;
    this.#close(index);
  }

  #close(end: number): void {
    this.#closedAt = end;
    this.#state = 'text';
    this.#hyphens = 0;
    this.#listener.closed(end);
  }
}
