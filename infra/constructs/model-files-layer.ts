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

/** Where a function with that layer finds them. */
export const MODEL_FILES_ENVIRONMENT = {
  PENSTOCK_TOKENIZERS: '/opt/tokenizers',
  PENSTOCK_SAFETY_WEIGHTS: '/opt/safety/weights/linear-heads.bin',
} as const;
