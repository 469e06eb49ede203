/** Answers of the gateway as tables for a terminal. */
import { printTable } from './print-table.ts';

/** What fits side by side; `--csv` and `--json` have the rest. */
const USAGE_COLUMNS = [
  ...['day', 'project', 'api_key', 'started_at', 'api_key_id', 'model', 'status', 'endpoint'],
  ...['requests', 'prompt_tokens', 'cached_prompt_tokens', 'completion_tokens', 'first_token_ms', 'duration_ms'],
  ...['cost_dollars', 'own_cost_dollars'],
];

/** @param answer of `GET /v1/usage`. */
export function showUsage(answer: string): string {
  const { data } = JSON.parse(answer) as { data: Record<string, string | number | null>[] }; // of its own gateway
  return data.length === 0 ? 'Nothing was used in this time.\n' : printTable(USAGE_COLUMNS, data);
}

/** @param answer of `GET /v1/admin/endpoints`. */
export function showEndpoints(answer: string): string {
  const { data } = JSON.parse(answer) as { data: ListedEndpoint[] }; // of its own gateway
  const rows = data.map(({ copies, changed_at, inference_component, in_progress, ...place }) => ({
    ...place,
    component: inference_component,
    copies: copies === null ? null : `${copies.running} of ${copies.wanted}`,
    since: changed_at === null ? null : new Date(changed_at * 1000).toISOString().replace('.000', ''),
    in_progress,
  }));
  return printTable(ENDPOINT_COLUMNS, rows);
}

const ENDPOINT_COLUMNS = ['model', 'region', 'endpoint', 'component', 'status', 'copies', 'since', 'in_progress', 'circuit', 'failure'];

interface ListedEndpoint {
  readonly model: string;
  readonly region: string | null;
  readonly endpoint: string;
  readonly inference_component: string | null;
  readonly status: string;
  readonly copies: { readonly running: number; readonly wanted: number } | null;
  readonly changed_at: number | null;
  readonly failure: string | null;
  readonly in_progress: number;
  readonly circuit: string;
}

/** @param answer of `GET /v1/admin/api_keys`. */
export function showKeys(answer: string): string {
  const { data } = JSON.parse(answer) as { data: ListedKey[] }; // of its own gateway
  if (data.length === 0) return 'There are no keys yet. `npm run penstock -- keys create --name NAME` makes one.\n';
  const rows = data.map((key) => ({
    ...{ id: key.id, name: key.name, prefix: key.prefix, project: key.project_id, organization: key.organization_id },
    scopes: key.scopes.join(','),
    models: key.models?.join(',') ?? 'all',
    expires: key.expires_at === null ? null : new Date(key.expires_at * 1000).toISOString(),
    limits: Object.entries(key.limits)
      .map(([name, limit]) => `${name}=${limit}`)
      .join(' '),
  }));
  return printTable(['id', 'name', 'prefix', 'project', 'organization', 'scopes', 'models', 'expires', 'limits'], rows);
}

interface ListedKey {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly project_id: string;
  readonly organization_id: string;
  readonly scopes: readonly string[];
  readonly models: readonly string[] | null;
  readonly expires_at: number | null;
  readonly limits: Readonly<Record<string, number>>;
}
