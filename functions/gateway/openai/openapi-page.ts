/** The OpenAPI document as one page for people: no script, nothing from elsewhere. */

interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
}

interface Described {
  readonly tags: readonly string[];
  readonly summary: string;
  /** Left out where the answer is nobody's but ours. */
  readonly externalDocs?: { readonly url: string };
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: Schema } } };
}

export interface DescribedApi {
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
}

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}
code{font-family:ui-monospace,monospace}table{border-collapse:collapse;width:100%}td{border-top:1px solid #8886;padding:.25rem .5rem;vertical-align:top}
summary{cursor:pointer;padding:.3rem 0}h2{margin-top:2rem}.method{display:inline-block;min-width:4.5rem;font-weight:600}`;

export function renderDocsPage({ info, paths }: DescribedApi): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) => ({ path, method, described })),
  );
  const groups = [...new Set(operations.flatMap(({ described }) => described.tags))];
  const sections = groups.map((group) => {
    const ours = operations.filter(({ described }) => described.tags.includes(group));
    return `<h2>${escapeHtml(group)}</h2>${ours.map(({ path, method, described }) => renderOperation(path, method, described)).join('')}`;
  });
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escapeHtml(info.title)} API</title><style>${STYLE}</style>
<h1>${escapeHtml(info.title)} API ${escapeHtml(info.version)}</h1><p>${escapeHtml(info.description)}</p>
<p>Send the header <code>authorization: Bearer YOUR_KEY</code>. For machines: <a href="/openapi.json">openapi.json</a>.</p>
${sections.join('\n')}</html>`;
}

function renderOperation(path: string, method: string, { summary, externalDocs, parameters, requestBody }: Described): string {
  const schema = requestBody?.content['application/json'].schema;
  const rows = [
    ...parameters.map(({ name, in: place }) => row(name, `in the ${place}`, place === 'path')),
    ...Object.entries(schema?.properties ?? {}).map(([name, field]) =>
      row(name, describe(field), schema?.required?.includes(name) ?? false),
    ),
  ];
  return `<details><summary><span class="method">${method.toUpperCase()}</span> <code>${escapeHtml(path)}</code> ${escapeHtml(summary)}</summary>
<table>${rows.join('')}</table>${externalDocs === undefined ? '' : linkTo(externalDocs.url)}</details>`;
}

function linkTo(url: string): string {
  return `<p>Answer: <a href="${escapeHtml(url)}" rel="noreferrer">${escapeHtml(url)}</a></p>`;
}

function row(name: string, meaning: string, required: boolean): string {
  return `<tr><td><code>${escapeHtml(name)}</code>${required ? ' *' : ''}</td><td>${escapeHtml(meaning)}</td></tr>`;
}

/** In a few words what a field takes. */
function describe(schema: Schema): string {
  const forms = schema.anyOf ?? schema.oneOf;
  if (forms !== undefined) return [...new Set(forms.map(describe))].join(' or ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' or ');
  if (schema.type === 'array') return `array of ${schema.items === undefined ? 'anything' : describe(schema.items)}`;
  if (schema.type === 'object' && schema.properties !== undefined) return `{ ${Object.keys(schema.properties).join(', ')} }`;
  const limits = [schema.minimum === undefined ? '' : `from ${schema.minimum}`, schema.maximum === undefined ? '' : `to ${schema.maximum}`];
  return [schema.type ?? 'anything', ...limits].filter((word) => word !== '').join(' ');
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
