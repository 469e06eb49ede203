import { describe, expect, it } from 'vitest';
import { readReport, readSignatures } from './audit.ts';

/** As npm 11 prints them; the failures are those of a registry without these services. */
const report = (vulnerabilities: object) =>
  JSON.stringify({ auditReportVersion: 2, vulnerabilities, metadata: { vulnerabilities: {}, dependencies: {} } });
const hole = (name: string, severity: string) => ({
  [name]: { name, severity, isDirect: true, via: [], effects: [], range: '<1.2.3', nodes: [] },
});
const REFUSED = JSON.stringify({
  message: '405 Method Not Allowed - POST https://registry.example/-/npm/v1/security/advisories/bulk',
  method: 'POST',
  statusCode: 405,
  body: '',
  error: { summary: '', detail: '' },
});
const UNREACHABLE = JSON.stringify({
  error: { code: 'ENOTFOUND', summary: 'request to https://tuf-repo-cdn.sigstore.dev failed', detail: '' },
});

describe('the audit', () => {
  it('finds holes that are severe, and nothing in a report without', () => {
    expect(readReport(report({}))).toEqual({ kind: 'clean' });
    expect(readReport(report({ ...hole('a', 'low'), ...hole('b', 'moderate') }))).toEqual({ kind: 'clean' });
    expect(readReport(report({ ...hole('a', 'low'), ...hole('c', 'high'), ...hole('d', 'critical') }))).toEqual({
      kind: 'found',
      what: ['c <1.2.3 (high)', 'd <1.2.3 (critical)'],
    });
  });

  it('finds signatures that are wrong or missing', () => {
    expect(readSignatures('{"invalid":[],"missing":[]}')).toEqual({ kind: 'clean' });
    const one = { name: 'a', version: '1.0.0', location: 'node_modules/a', registry: 'https://registry.example/' };
    expect(readSignatures(JSON.stringify({ invalid: [one], missing: [{ ...one, name: 'b' }] }))).toEqual({
      kind: 'found',
      what: ['a@1.0.0: its signature is wrong', 'b@1.0.0: it has no signature'],
    });
  });

  it('never takes a registry that cannot be asked for a clean one', () => {
    for (const read of [readReport, readSignatures]) {
      expect(read(REFUSED)).toEqual({ kind: 'unavailable', why: expect.stringContaining('405 Method Not Allowed') });
      expect(read(UNREACHABLE)).toEqual({ kind: 'unavailable', why: 'request to https://tuf-repo-cdn.sigstore.dev failed' });
      for (const output of ['', '{}', 'null', '[]', 'npm error', '{"auditReportVersion":3,"vulnerabilities":{}}']) {
        expect(read(output)).toEqual({ kind: 'unavailable', why: 'npm gave no report' });
      }
    }
  });
});
