/** `npm run penstock -- safety-policy ...`: what is done about unsafe text, tenant by tenant. */
import { readFileSync } from 'node:fs';

type Call = (method: string, path: string, body?: object) => Promise<string>;

/** @param owner `default`, or `project ID`, or `organization ID`; for `show` a digest. @returns the gateway's answer, as JSON. */
export async function runSafetyPolicy(call: Call, action: string, owner: readonly string[], file: string | undefined): Promise<string> {
  switch (action) {
    case 'get':
      return await call('GET', policyPath(owner));
    case 'set':
      return await call('PUT', policyPath(owner), readPolicy(file));
    case 'delete':
      return await call('DELETE', policyPath(owner));
    case 'show':
      return await call('GET', `/admin/safety_policies/${encodeURIComponent(owner[0] ?? '')}`);
    default:
      throw new Error('safety-policy takes get, set, delete or show. `npm run penstock -- --help` lists the commands.');
  }
}

function policyPath([type, id = '']: readonly string[]): string {
  if (type === 'default') return '/admin/safety_policy';
  if ((type !== 'project' && type !== 'organization') || id === '')
    throw new Error('Name whose policy: default, project ID or organization ID.');
  return `/admin/${type}s/${encodeURIComponent(id)}/safety_policy`;
}

/** The gateway checks what is in it. */
function readPolicy(file: string | undefined): object {
  if (file === undefined) throw new Error('Name the JSON file of the policy with --file, or - for the standard input.');
  const policy: unknown = JSON.parse(readFileSync(file === '-' ? 0 : file, 'utf8'));
  if (typeof policy !== 'object' || policy === null) throw new Error(`${file} holds no JSON object.`);
  return policy;
}
