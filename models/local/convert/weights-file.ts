import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { StoredWeights } from './onnx-graph.ts';

/** Page-aligned, so that onnxruntime can map each tensor instead of reading it. */
const ALIGNMENT = 4096;

/** The weights beside a graph (ONNX external data), written in order. */
export class WeightsFile {
  readonly fileName: string;
  readonly #descriptor: number;
  readonly #hash = createHash('sha256');
  #position = 0;

  constructor(folder: string, fileName: string) {
    this.fileName = fileName;
    this.#descriptor = openSync(join(folder, fileName), 'wx');
  }

  get byteLength(): number {
    return this.#position;
  }

  append(bytes: Uint8Array): StoredWeights {
    const offset = Math.ceil(this.#position / ALIGNMENT) * ALIGNMENT;
    this.#write(new Uint8Array(offset - this.#position));
    this.#write(bytes);
    return { offset, byteLength: bytes.length };
  }

  /** Closes the file when its bytes are on the disk. @returns their sha256, in hexadecimal. */
  finish(): string {
    fsyncSync(this.#descriptor);
    closeSync(this.#descriptor);
    return this.#hash.digest('hex');
  }

  abandon(): void {
    closeSync(this.#descriptor);
  }

  #write(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#descriptor, bytes, done);
    this.#hash.update(bytes);
    this.#position += bytes.length;
  }
}
