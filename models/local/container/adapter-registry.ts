import { resolve, sep } from 'node:path';
import { InvocationError } from '../../invocation.ts';
import type { EngineClient } from '../engine/engine-client.ts';

/** The LoRA adapters that callers may name. They come from one folder: a caller's path never leads elsewhere. */
export class AdapterRegistry {
  readonly #engine: EngineClient;
  readonly #folder: string | undefined;
  readonly #names = new Set<string>();

  constructor(engine: EngineClient, folder: string | undefined) {
    this.#engine = engine;
    this.#folder = folder === undefined ? undefined : resolve(folder);
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** @param path a folder in the adapters' folder, absolute or relative to it. Throws `InvocationError`. */
  async load(name: unknown, path: unknown): Promise<string> {
    if (typeof name !== 'string' || !/^[\w.-]{1,128}$/.test(name)) {
      throw new InvocationError('An adapter needs a name of letters, digits, dots, dashes and underscores.', { param: 'lora_name' });
    }
    if (typeof path !== 'string' || path === '') throw new InvocationError('Name the folder of the adapter.', { param: 'lora_path' });
    if (this.#folder === undefined)
      throw new InvocationError('This container takes no adapters: start it with --adapters FOLDER.', { code: 403 });
    const folder = resolve(this.#folder, path);
    if (!folder.startsWith(this.#folder + sep)) {
      throw new InvocationError('Adapters are loaded from the folder that the container was started with.', {
        code: 403,
        param: 'lora_path',
      });
    }
    if (this.#names.has(name)) throw new InvocationError(`The lora adapter '${name}' has already been loaded.`, { param: 'lora_name' });
    const problem = await this.#engine.loadAdapter(name, folder);
    if (problem !== undefined) throw new InvocationError(`The adapter '${name}' cannot be loaded: ${problem}.`, { param: 'lora_path' });
    this.#names.add(name);
    return name;
  }

  unload(name: unknown): string {
    if (typeof name !== 'string' || !this.#names.delete(name)) {
      throw new InvocationError('No adapter of this name is loaded.', { code: 404, param: 'lora_name' });
    }
    this.#engine.unloadAdapter(name);
    return name;
  }
}
