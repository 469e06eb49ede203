/**
 * The gateway as an ordinary server: `npm run gateway`. It calls SageMaker through the SDK's own configuration: real AWS, or whatever
 * `AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME` names.
 */
import { createDynamoDbTable } from '../drivers/dynamodb-table.ts';
import { createFileSetting } from '../drivers/file-setting.ts';
import { createFolderEncodings } from '../drivers/folder-encodings.ts';
import { createFolderTokenizerFiles } from '../drivers/folder-tokenizer-files.ts';
import { createJsonLog } from '../drivers/json-log.ts';
import { createKmsSigner } from '../drivers/kms-signer.ts';
import { createMemoryTable } from '../drivers/memory-table.ts';
import { createRandomIds } from '../drivers/random-ids.ts';
import { loadSafetyClassifier } from '../drivers/safety-classifier-file.ts';
import { createPolicyFile } from '../drivers/safety-policy-file.ts';
import { createSageMakerControlPlane } from '../drivers/sagemaker-control-plane.ts';
import { createSageMakerEndpoint } from '../drivers/sagemaker-endpoint.ts';
import { createSqliteTable } from '../drivers/sqlite-table.ts';
import { createSsmSetting } from '../drivers/ssm-setting.ts';
import { type GatewayConfig, loadServerConfig } from './config.ts';
import { ENVIRONMENT } from './environment.ts';
import { runServer } from './run-server.ts';
import { loadServedModels } from './served-models.ts';
import type { Table } from './services/table.ts';
import type { Clock } from './services.ts';
import { createSwitches, type Switches, switchLog, UNSWITCHED } from './switches.ts';

if (process.argv.includes('--help')) {
  const settings = Object.entries(ENVIRONMENT).map(([name, meaning]) => `  ${name.padEnd(30)} ${meaning}`);
  process.stdout.write(`Usage: npm run gateway\n\nStarts the gateway alone. Settings are environment variables:\n${settings.join('\n')}\n`);
  process.exit(0);
}

const log = createJsonLog((line) => process.stderr.write(line));
try {
  await start();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

async function start(): Promise<void> {
  const config = loadServerConfig();
  const models = await loadServedModels(config.catalog, createFolderTokenizerFiles(config.tokenizersFolder), config.answerPipelines);
  const clock = { now: Date.now };
  const switches = openSwitches(config, clock);
  const services = {
    models,
    endpoint: createSageMakerEndpoint(),
    controlPlane: createSageMakerControlPlane(),
    table: openTable(config.store, clock),
    clock,
    ids: createRandomIds(),
    ...(config.signingKeyArn === undefined ? {} : { signer: createKmsSigner(config.signingKeyArn) }),
    encodings: createFolderEncodings(config.encodingsFolder),
    log: switchLog(log, switches),
    switches,
    classifier: await loadSafetyClassifier(config.safetyWeightsFile),
    policyFile: createPolicyFile(config.safetyPolicyFile, clock, log),
  };
  await runServer(services, config, log).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'EADDRINUSE' ? new Error(`Port ${config.port} is taken. Stop what uses it, or set PORT to another one.`) : error;
  });
}

function openSwitches({ switches }: GatewayConfig, clock: Clock): Switches {
  if (switches === undefined) return UNSWITCHED;
  return createSwitches(switches.kind === 'file' ? createFileSetting(switches.name) : createSsmSetting(switches.name), clock, log);
}

function openTable(store: GatewayConfig['store'], clock: Clock): Table {
  switch (store.kind) {
    case 'dynamodb':
      return createDynamoDbTable(store.tableName, clock);
    case 'sqlite':
      return createSqliteTable(store.file, clock);
    case 'memory':
      return createMemoryTable(clock);
  }
}
