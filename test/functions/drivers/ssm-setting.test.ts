import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSsmSetting } from '../../../functions/drivers/ssm-setting.ts';
import { freePort } from '../../../models/local/free-port.ts';
import { testSettingText } from '../../contracts/setting-text.ts';
import { type Moto, startMoto } from '../../support/moto.ts';

describe('a setting in Systems Manager', () => {
  let moto: Moto;
  let ssm: SSMClient;
  let count = 0;
  beforeAll(async () => {
    moto = await startMoto();
    ssm = new SSMClient(moto.client);
  }, 300_000);
  afterAll(() => {
    ssm.destroy();
    moto.stop();
  });

  testSettingText(async () => {
    count += 1;
    const Name = `/penstock/switches-${count}`;
    return {
      setting: createSsmSetting(Name, moto.client),
      edit: async (Value) => void (await ssm.send(new PutParameterCommand({ Name, Value, Type: 'String', Overwrite: true }))),
      unreadable: createSsmSetting(Name, { ...moto.client, endpoint: `http://127.0.0.1:${await freePort()}`, maxAttempts: 1 }),
    };
  });
});

/** Systems Manager on a bad day: these answers one after the other. */
async function onABadDay(...answers: { status: number; body: object }[]) {
  let calls = 0;
  const server = createServer(async (request, response) => {
    for await (const _ of request);
    const answer = answers[Math.min(calls, answers.length - 1)];
    calls += 1;
    response.writeHead(answer?.status ?? 500, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(answer?.body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // a TCP server's address is an object
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  return {
    setting: createSsmSetting('/penstock/switches', { endpoint, region: 'us-east-1', credentials }),
    calls: () => calls,
    [Symbol.dispose]: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

describe('a setting in Systems Manager on a bad day', () => {
  const found = { status: 200, body: { Parameter: { Name: '/penstock/switches', Type: 'String', Value: '{}' } } };

  it('is asked for again when AWS has had too many calls', async () => {
    using day = await onABadDay({ status: 400, body: { __type: 'ThrottlingException', message: 'Rate exceeded' } }, found);
    expect(await day.setting.read()).toBe('{}');
    expect(day.calls()).toBe(2);
  });

  it('is not asked for again, and not missing, when access is denied', async () => {
    using day = await onABadDay({ status: 400, body: { __type: 'AccessDeniedException', Message: 'No' } });
    await expect(day.setting.read()).rejects.toMatchObject({ name: 'StoreUnavailableError', store: 'the parameter /penstock/switches' });
    expect(day.calls()).toBe(1);
  });
});
