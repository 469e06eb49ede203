/**
 * Asks the registry for known holes in the packages (`npm audit`) and whether every package has the registry's signature
 * (`npm audit signatures`). Fails on what it finds. A registry that has no such service finds nothing: that is said, and fails only with
 * `--required`. `.ci/supply-chain` runs it.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import * as v from 'valibot';

export type AuditResult =
  | { readonly kind: 'clean' }
  | { readonly kind: 'found'; readonly what: readonly string[] }
  | { readonly kind: 'unavailable'; readonly why: string };

/** Holes that are less severe do not fail. */
const SEVERE = ['high', 'critical'];

/** https://docs.npmjs.com/cli/v11/commands/npm-audit */
const reportSchema = v.object({
  auditReportVersion: v.literal(2),
  vulnerabilities: v.record(v.string(), v.object({ severity: v.string(), range: v.string() })),
});
const signatureSchema = v.object({ name: v.string(), version: v.string() });
const signaturesSchema = v.object({ invalid: v.array(signatureSchema), missing: v.array(signatureSchema) });
/** What npm prints in place of a report. */
const failureSchema = v.union([
  v.pipe(
    v.object({ error: v.object({ summary: v.pipe(v.string(), v.nonEmpty()) }) }),
    v.transform(({ error }) => error.summary),
  ),
  v.pipe(
    v.object({ message: v.string() }),
    v.transform(({ message }) => message),
  ),
]);

/** Reads `npm audit --json`. */
export function readReport(output: string): AuditResult {
  const report = v.safeParse(v.pipe(v.string(), v.parseJson(), reportSchema), output);
  if (!report.success) return readFailure(output);
  const severe = Object.entries(report.output.vulnerabilities).filter(([, { severity }]) => SEVERE.includes(severity));
  return result(severe.map(([name, { severity, range }]) => `${name} ${range} (${severity})`));
}

/** Reads `npm audit signatures --json`. */
export function readSignatures(output: string): AuditResult {
  const signatures = v.safeParse(v.pipe(v.string(), v.parseJson(), signaturesSchema), output);
  if (!signatures.success) return readFailure(output);
  const list = (what: string, packages: readonly { name: string; version: string }[]) =>
    packages.map(({ name, version }) => `${name}@${version}: ${what}`);
  return result([...list('its signature is wrong', signatures.output.invalid), ...list('it has no signature', signatures.output.missing)]);
}

function result(what: readonly string[]): AuditResult {
  return what.length === 0 ? { kind: 'clean' } : { kind: 'found', what };
}

function readFailure(output: string): AuditResult {
  const failure = v.safeParse(v.pipe(v.string(), v.parseJson(), failureSchema), output);
  return { kind: 'unavailable', why: failure.success ? failure.output : 'npm gave no report' };
}

/** It ends with 1 when it finds something, and when it cannot ask: what it prints tells which. */
async function npm(...args: readonly string[]): Promise<string> {
  const options = ['--json', '--fetch-retries=0', '--fetch-timeout=60000'];
  const run = promisify(execFile)('npm', ['audit', ...args, ...options], { maxBuffer: 64 * 2 ** 20 });
  return run.then(
    ({ stdout }) => stdout,
    (error: { stdout?: string }) => error.stdout ?? '',
  );
}

if (import.meta.main) {
  const isRequired = process.argv.includes('--required');
  const results: readonly (readonly [string, AuditResult])[] = [
    ['known holes', readReport(await npm())],
    ['signatures of packages', readSignatures(await npm('signatures'))],
  ];
  for (const [what, audit] of results) {
    switch (audit.kind) {
      case 'clean':
        process.stdout.write(`${what}: nothing found\n`);
        break;
      case 'unavailable':
        process.stdout.write(`${what}: NOT LOOKED AT, because the registry cannot be asked (${audit.why})\n`);
        if (isRequired) process.exitCode = 1;
        break;
      case 'found':
        process.stdout.write(`${what}:\n${audit.what.map((line) => `  ${line}\n`).join('')}`);
        process.exitCode = 1;
    }
  }
}
