import type { Objects } from '../../functions/gateway/services/objects.ts';

/** Objects of this process. */
export function createMemoryObjects(): Objects & { readonly keys: () => readonly string[] } {
  const objects = new Map<string, Uint8Array>();
  return {
    keys: () => [...objects.keys()],
    async read(key) {
      const found = objects.get(key);
      return found === undefined ? undefined : Uint8Array.from(found);
    },
    async write(key, bytes, { onlyIfAbsent = false }) {
      if (onlyIfAbsent && objects.has(key)) return false;
      objects.set(key, Uint8Array.from(bytes));
      return true;
    },
    async delete(key) {
      objects.delete(key);
    },
    close: () => undefined,
  };
}
