import { join } from 'node:path';
import { IgnoreMode } from 'aws-cdk-lib';
import { Architecture, Code, LayerVersion } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { projectPath } from '../project-path.ts';

/** What functions read beside their code: tokenizers and the safety classifier's weights. */
export function createModelFilesLayer(scope: Construct): LayerVersion {
  return new LayerVersion(scope, 'Tokenizers', {
    description: 'Compiled vocabularies and chat templates',
    code: Code.fromAsset(projectPath('models'), {
      exclude: ['*', '!tokenizers', '!tokenizers/**', '!safety', 'safety/*', '!safety/weights', '!safety/weights/**'],
      ignoreMode: IgnoreMode.GIT,
    }),
    compatibleArchitectures: [Architecture.ARM_64],
  });
}

/** The encodings of GPT models, which `npm run build` compiles: for counting tokens of models that are served elsewhere. */
export function createEncodingsLayer(scope: Construct, bundlesFolder: string): LayerVersion {
  return new LayerVersion(scope, 'Encodings', {
    description: 'Compiled encodings of GPT models',
    code: Code.fromAsset(join(bundlesFolder, 'encodings-layer')),
    compatibleArchitectures: [Architecture.ARM_64],
  });
}

export const ENCODINGS_ENVIRONMENT = { PENSTOCK_ENCODINGS: '/opt/encodings' } as const;

/** Where a function with these layers finds their files. */
export const MODEL_FILES_ENVIRONMENT = {
  PENSTOCK_TOKENIZERS: '/opt/tokenizers',
  PENSTOCK_SAFETY_WEIGHTS: '/opt/safety/weights/linear-heads.bin',
} as const;
