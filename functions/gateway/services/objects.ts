/** The port for bytes that other machines read and write too, or that are too many for a row: each under a key, whole. */

export interface ObjectWrite {
  readonly contentType: string;
  /** Leaves what is there already. */
  readonly onlyIfAbsent?: boolean;
}

/** Keys are paths of visible ASCII. @throws {StoreUnavailableError} by every call, when the store cannot be reached, read whole, or written. */
export interface Objects {
  /** Sees every write that was answered before. `undefined` for a key that is not there. */
  read(key: string): Promise<Uint8Array | undefined>;
  /** False: with `onlyIfAbsent`, when something is there. Of several that write one key so at once, one is told true. */
  write(key: string, bytes: Uint8Array, options: ObjectWrite): Promise<boolean>;
  /** What is not there is deleted already. */
  delete(key: string): Promise<void>;
  close(): void;
}
