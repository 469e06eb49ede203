import type { GatewayConfig } from '../gateway/config.ts';
import { loadServedModels } from '../gateway/served-models.ts';
import type { Log, Services } from '../gateway/services.ts';
import { createSwitches, switchLog, UNSWITCHED } from '../gateway/switches.ts';
import { createDynamoDbTable } from './dynamodb-table.ts';
import { createFolderEncodings } from './folder-encodings.ts';
import { createFolderTokenizerFiles } from './folder-tokenizer-files.ts';
import { createKmsSigner } from './kms-signer.ts';
import { createMemoryTable } from './memory-table.ts';
import { createRandomIds } from './random-ids.ts';
import { loadSafetyClassifier } from './safety-classifier-file.ts';
import { createPolicyFile } from './safety-policy-file.ts';
import { createSageMakerControlPlane } from './sagemaker-control-plane.ts';
import { createSageMakerEndpoint } from './sagemaker-endpoint.ts';
import { createSqsJobs } from './sqs-jobs.ts';
import { createSsmSetting } from './ssm-setting.ts';

/** The drivers of the gateway in Lambda, whatever entry runs it. */
export async function createLambdaServices(config: GatewayConfig, log: Log): Promise<Services> {
  const clock = { now: Date.now };
  const switches = config.switches?.kind === 'parameter' ? createSwitches(createSsmSetting(config.switches.name), clock, log) : UNSWITCHED;
  switches.current(); // the text is on its way while the rest is loaded
  return {
    models: await loadServedModels(config.catalog, createFolderTokenizerFiles(config.tokenizersFolder), config.answerPipelines),
    endpoint: createSageMakerEndpoint(),
    controlPlane: createSageMakerControlPlane(),
    // Without a table, keys of the configuration work and nothing outlives the function.
    table: config.store.kind === 'dynamodb' ? createDynamoDbTable(config.store.tableName, clock) : createMemoryTable(clock),
    ...(config.jobsQueueUrl === undefined ? {} : { jobs: createSqsJobs(config.jobsQueueUrl) }),
    ...(config.signingKeyArn === undefined ? {} : { signer: createKmsSigner(config.signingKeyArn) }),
    clock,
    ids: createRandomIds(),
    encodings: createFolderEncodings(config.encodingsFolder),
    log: switchLog(log, switches),
    switches,
    classifier: await loadSafetyClassifier(config.safetyWeightsFile),
    policyFile: createPolicyFile(config.safetyPolicyFile, clock, log),
  };
}
