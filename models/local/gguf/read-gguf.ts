/**
 * Reads the header of a GGUF file (version 2 and 3, little-endian): metadata and the list of tensors. Weights stay on disk until
 * `readTensor` asks for one. Source: ggml's `docs/gguf.md`.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { explainFileError, SentenceError } from '../sentence-error.ts';
import { findTensorType, type GgufTensorType } from './tensor-types.ts';

export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

interface GgufTensor {
  readonly name: string;
  readonly type: GgufTensorType;
  /** Fastest dimension first: a weight of N rows and K columns is `[K, N]`. */
  readonly shape: readonly number[];
  /** From the start of the file, in bytes. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface GgufFile {
  readonly path: string;
  readonly byteLength: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** The tensor's bytes as they lie in the file. */
  readTensor(tensor: GgufTensor): Uint8Array;
  close(): void;
}

const MAGIC = 0x46554747; // "GGUF"
const CHUNK_BYTES = 1 << 20;
const DEFAULT_ALIGNMENT = 32;

/** @throws {SentenceError} the file cannot be read, is no GGUF, is cut off, or holds a tensor type that we do not know. */
export function readGguf(path: string): GgufFile {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new SentenceError(`There is no model file at ${path}.`, { cause: error });
    }
    throw explainFileError(error, path);
  }
  try {
    return readHeader(path, descriptor);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

function readHeader(path: string, descriptor: number): GgufFile {
  const byteLength = fstatSync(descriptor).size;
  const cursor = new Cursor(path, descriptor, byteLength);
  if (byteLength < 24 || cursor.uint32() !== MAGIC) throw new SentenceError(`${path} is not a GGUF file.`);
  const version = cursor.uint32();
  if (version !== 2 && version !== 3) {
    throw new SentenceError(`${path} is a GGUF file of version ${version}; versions 2 and 3 can be read.`);
  }
  const tensorCount = cursor.size();
  const metadataCount = cursor.size();
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < metadataCount; i++) {
    const key = cursor.string();
    metadata.set(key, cursor.value(cursor.uint32()));
  }
  const described = Array.from({ length: cursor.checkCount(tensorCount, 24) }, () => ({
    name: cursor.string(),
    shape: Array.from({ length: cursor.checkCount(cursor.uint32(), 8) }, () => cursor.size()),
    typeNumber: cursor.uint32(),
    relativeOffset: cursor.size(),
  }));
  const alignment = Number(metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT);
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  for (const { name, shape, typeNumber, relativeOffset } of described) {
    const type = findTensorType(typeNumber);
    if (type === undefined) throw new SentenceError(`${path} stores ${name} as ggml type ${typeNumber}, which cannot be read.`);
    const elements = shape.reduce((product, length) => product * length, 1);
    if ((shape[0] ?? 0) % type.blockElements !== 0) {
      throw new SentenceError(
        `${path} is damaged: the rows of ${name} hold ${shape[0]} values, not a multiple of ${type.blockElements} as ${type.name} needs.`,
      );
    }
    const tensor = { name, type, shape, offset: dataStart + relativeOffset, byteLength: (elements / type.blockElements) * type.blockBytes };
    if (tensor.offset + tensor.byteLength > byteLength) throw cutOff(path);
    tensors.set(name, tensor);
  }
  return {
    path,
    byteLength,
    metadata,
    tensors,
    readTensor(tensor) {
      const bytes = new Uint8Array(tensor.byteLength);
      readFully(path, descriptor, bytes, tensor.offset);
      return bytes;
    },
    close: () => closeSync(descriptor),
  };
}

function readFully(path: string, descriptor: number, target: Uint8Array, position: number): void {
  for (let done = 0; done < target.length; ) {
    const read = readSync(descriptor, target, done, target.length - done, position + done);
    if (read === 0) throw cutOff(path);
    done += read;
  }
}

function cutOff(path: string): SentenceError {
  return new SentenceError(`${path} is cut off or damaged. Get the file again.`);
}

/** Reads forward through the header in chunks; every length is checked against what is left of the file before it is used. */
class Cursor {
  readonly #path: string;
  readonly #descriptor: number;
  readonly #byteLength: number;
  #chunk = new Uint8Array(0);
  #chunkStart = 0;
  #index = 0;

  constructor(path: string, descriptor: number, byteLength: number) {
    this.#path = path;
    this.#descriptor = descriptor;
    this.#byteLength = byteLength;
  }

  get position(): number {
    return this.#chunkStart + this.#index;
  }

  uint32(): number {
    return this.#take(4).getUint32(0, true);
  }

  /** A 64-bit length or offset. */
  size(): number {
    const value = this.#take(8).getBigUint64(0, true);
    if (value > BigInt(this.#byteLength)) throw cutOff(this.#path);
    return Number(value);
  }

  /** Returns `count`, or throws when so many items of at least `itemBytes` cannot follow. */
  checkCount(count: number, itemBytes: number): number {
    if (count * itemBytes > this.#byteLength - this.position) throw cutOff(this.#path);
    return count;
  }

  string(): string {
    const length = this.size();
    const { buffer, byteOffset } = this.#take(length);
    return Buffer.from(buffer, byteOffset, length).toString('utf8');
  }

  value(type: number): GgufValue {
    switch (type) {
      case 0:
        return this.#take(1).getUint8(0);
      case 1:
        return this.#take(1).getInt8(0);
      case 2:
        return this.#take(2).getUint16(0, true);
      case 3:
        return this.#take(2).getInt16(0, true);
      case 4:
        return this.uint32();
      case 5:
        return this.#take(4).getInt32(0, true);
      case 6:
        return this.#take(4).getFloat32(0, true);
      case 7:
        return this.#take(1).getUint8(0) !== 0;
      case 8:
        return this.string();
      case 9: {
        const itemType = this.uint32();
        if (itemType === 9) throw new SentenceError(`${this.#path} has nested lists in its metadata, which cannot be read.`);
        const count = this.checkCount(this.size(), 1);
        return Array.from({ length: count }, () => this.value(itemType));
      }
      case 10:
        return this.#take(8).getBigUint64(0, true);
      case 11:
        return this.#take(8).getBigInt64(0, true);
      case 12:
        return this.#take(8).getFloat64(0, true);
      default:
        throw new SentenceError(`${this.#path} has metadata of the unknown type ${type}.`);
    }
  }

  #take(length: number): DataView {
    if (this.#index + length > this.#chunk.length) this.#refill(length);
    const start = this.#index;
    this.#index += length;
    return new DataView(this.#chunk.buffer, start, length);
  }

  #refill(length: number): void {
    const start = this.position;
    if (start + length > this.#byteLength) throw cutOff(this.#path);
    this.#chunk = new Uint8Array(Math.min(Math.max(length, CHUNK_BYTES), this.#byteLength - start));
    this.#chunkStart = start;
    this.#index = 0;
    readFully(this.#path, this.#descriptor, this.#chunk, start);
  }
}
