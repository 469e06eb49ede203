/**
 * DynamoDB and S3 for tests: moto's server from PyPI, in a virtual environment in the user's cache, on a loopback port of its own. The first
 * run installs it; it needs Python 3.9 or newer with pip.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { freePort } from '../../models/local/free-port.ts';

const run = promisify(execFile);
const PACKAGES = ['moto[dynamodb,s3]==5.2.5', 'flask==3.1.3', 'flask-cors==6.0.5'];
const HOME = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'penstock', 'moto-5.2.5-dynamodb-s3');

/**
 * One request at a time: moto's own server answers several at once without locking a row, so that a condition may hold for two writers, which
 * DynamoDB never lets happen.
 */
const SERVER = `
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=False)
`;

export interface Moto {
  /** For any AWS client. */
  readonly client: {
    readonly endpoint: string;
    readonly region: string;
    readonly credentials: { accessKeyId: string; secretAccessKey: string };
  };
  createTable(name: string): Promise<void>;
  stop(): void;
}

export async function startMoto(): Promise<Moto> {
  await install();
  const port = await freePort();
  const server = spawn(join(HOME, 'bin', 'python3'), ['-c', SERVER, String(port)], { stdio: 'ignore' });
  const stop = () => server.kill('SIGKILL');
  process.once('exit', stop);
  const endpoint = `http://localhost:${port}`; // moto reads bucket names from other host names
  for (let waited = 0; ; waited += 1) {
    if (server.exitCode !== null || waited > 300) throw new Error(`moto's server did not start (exit code ${server.exitCode})`);
    if (await answers(`${endpoint}/moto-api/`)) break;
    await sleep(100);
  }
  const client = { endpoint, region: 'us-east-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };
  const dynamo = new DynamoDBClient(client);
  return {
    client,
    stop,
    async createTable(name) {
      await dynamo.send(
        new CreateTableCommand({
          TableName: name,
          BillingMode: 'PAY_PER_REQUEST',
          AttributeDefinitions: [
            { AttributeName: 'partition', AttributeType: 'S' },
            { AttributeName: 'sort', AttributeType: 'S' },
          ],
          KeySchema: [
            { AttributeName: 'partition', KeyType: 'HASH' },
            { AttributeName: 'sort', KeyType: 'RANGE' },
          ],
        }),
      );
    },
  };
}

/** Into a folder of its own first: an interrupted install leaves nothing that looks finished. */
async function install(): Promise<void> {
  if (existsSync(HOME)) return;
  const building = `${HOME}.${process.pid}`;
  await mkdir(join(HOME, '..'), { recursive: true });
  try {
    await run('python3', ['-m', 'venv', '--copies', building]);
    await run(join(building, 'bin', 'python3'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...PACKAGES]);
    await rename(building, HOME).catch((error: NodeJS.ErrnoException) => {
      if (!existsSync(HOME)) throw error; // another test process was first
    });
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    (response) => response.ok,
    () => false,
  );
}
