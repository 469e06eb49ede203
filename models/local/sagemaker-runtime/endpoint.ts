/** One SageMaker endpoint: its variants or inference components, and the rules by which a call finds its copies. */
import type { EndpointConfig } from './config.ts';
import { CopyPool, type PoolState } from './copy-pool.ts';
import { RuntimeError } from './runtime-error.ts';

/** SageMaker's name for the one variant of an endpoint that names none. */
export const DEFAULT_VARIANT = 'AllTraffic';

export interface Route {
  readonly pool: CopyPool;
  readonly variant: string;
  /** What the container is told of the LoRA adapter that answers. */
  readonly adapterIdentifier?: string;
}

export class Endpoint {
  readonly #name: string;
  readonly #config: EndpointConfig;
  readonly #pools: ReadonlyMap<string, CopyPool>;
  #calls = 0;

  constructor(name: string, config: EndpointConfig) {
    this.#name = name;
    this.#config = config;
    const variants = config.variants ?? (config.containers === undefined ? {} : { [DEFAULT_VARIANT]: { containers: config.containers } });
    const models = Object.entries(config.inferenceComponents ?? {}).flatMap(([key, component]) =>
      'containers' in component ? [[key, component] as const] : [],
    );
    this.#pools = new Map([...Object.entries(variants), ...models].map(([key, options]) => [key, new CopyPool(options)]));
  }

  /** By variant or inference component; adapters have none. */
  states(now: number): ReadonlyMap<string, PoolState> {
    return new Map([...this.#pools].map(([name, pool]) => [name, pool.state(now)]));
  }

  /** @throws {RuntimeError} ThrottlingException when as many calls run as the endpoint takes. */
  admit(): Disposable {
    if (this.#calls >= (this.#config.maxConcurrentInvocations ?? Number.POSITIVE_INFINITY))
      throw new RuntimeError('ThrottlingException', 'Rate exceeded');
    this.#calls += 1;
    return {
      [Symbol.dispose]: () => {
        this.#calls -= 1;
      },
    };
  }

  /** @throws {RuntimeError} ValidationError: no such component or variant. */
  route(target: { readonly inferenceComponent: string | undefined; readonly variant: string | undefined }, random: () => number): Route {
    const { inferenceComponents } = this.#config;
    if (inferenceComponents === undefined) {
      if (target.inferenceComponent !== undefined) {
        throw this.#invalid(`has no inference component ${target.inferenceComponent}`);
      }
      const variant = target.variant ?? this.#drawVariant(random);
      return { pool: this.#pool(variant, `has no variant ${variant}`), variant };
    }
    if (target.inferenceComponent === undefined) {
      throw new RuntimeError(
        'ValidationError',
        'Inference Component Name header is required for endpoints to which you plan to deploy inference components. Please include Inference Component Name header or consider using SageMaker models.',
      );
    }
    const component = Object.hasOwn(inferenceComponents, target.inferenceComponent)
      ? inferenceComponents[target.inferenceComponent]
      : undefined;
    if (component === undefined) throw this.#invalid(`has no inference component ${target.inferenceComponent}`);
    if ('containers' in component) return { pool: this.#pool(target.inferenceComponent, 'has lost it'), variant: DEFAULT_VARIANT };
    return {
      pool: this.#pool(component.baseInferenceComponentName, 'has lost the base'),
      variant: DEFAULT_VARIANT,
      adapterIdentifier: component.adapterIdentifier ?? target.inferenceComponent,
    };
  }

  #pool(key: string, problem: string): CopyPool {
    const pool = this.#pools.get(key);
    if (pool === undefined) throw this.#invalid(problem);
    return pool;
  }

  #drawVariant(random: () => number): string {
    const variants = Object.entries(this.#config.variants ?? { [DEFAULT_VARIANT]: { weight: 1 } });
    let rest = random() * variants.reduce((sum, [, { weight }]) => sum + weight, 0);
    const drawn = variants.find(([, { weight }]) => {
      rest -= weight;
      return rest < 0;
    });
    return drawn?.[0] ?? DEFAULT_VARIANT;
  }

  #invalid(problem: string): RuntimeError {
    return new RuntimeError('ValidationError', `Endpoint ${this.#name} ${problem}.`);
  }
}
