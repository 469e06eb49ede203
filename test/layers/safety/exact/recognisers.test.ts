import { describe, expect, it } from 'vitest';
import { createSafetyFilter, parseSafetyPolicy, type SpanKind } from '../../../../layers/safety/index.ts';

const redact = { input: 'redact', output: 'redact' };
const filter = createSafetyFilter(parseSafetyPolicy({ pii: redact, secrets: redact, phoneCountries: ['US', 'GB', 'DE', 'FR'] }));

const find = (text: string) => filter.check(text, 'output').verdict.findings.map(({ kind, start, end }) => [kind, text.slice(start, end)]);

/** Values from standards, registries and vendors' documents. */
const published: readonly (readonly [SpanKind, string, source: string])[] = [
  ['card', '4111 1111 1111 1111', 'Visa test number'],
  ['card', '5555-5555-5555-4444', 'Mastercard test number'],
  ['card', '378282246310005', 'American Express test number'],
  ['card', '6011111111111117', 'Discover test number'],
  ['card', '3530111333300000', 'JCB test number'],
  ['card', '30569309025904', 'Diners test number'],
  ['iban', 'DE89 3704 0044 0532 0130 00', 'SWIFT IBAN registry'],
  ['iban', 'GB29 NWBK 6016 1331 9268 19', 'SWIFT IBAN registry'],
  ['iban', 'FR1420041010050500013M02606', 'SWIFT IBAN registry'],
  ['iban', 'NL91ABNA0417164300', 'SWIFT IBAN registry'],
  ['iban', 'MT84MALT011000012345MTLCAST001S', 'SWIFT IBAN registry'],
  ['ip', '2001:db8:85a3::8a2e:370:7334', 'RFC 5952'],
  ['ip', '::ffff:192.0.2.128', 'RFC 4291'],
  ['ip', '203.0.113.7', 'RFC 5737'],
  ['mac', '00-00-5E-00-53-01', 'RFC 7042'],
  ['mac', '0000.5e00.5301', 'RFC 7042'],
  ['crypto_wallet', '1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa', 'the first Bitcoin block'],
  ['crypto_wallet', 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4', 'BIP 173'],
  ['crypto_wallet', 'bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0', 'BIP 350'],
  ['crypto_wallet', '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed', 'EIP 55'],
  ['jwt', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk', 'RFC 7515 form'],
  ['api_key', 'AKIAIOSFODNN7EXAMPLE', 'AWS documentation'],
  ['national_id', '12345678Z', 'DNI, Spanish police'],
  ['national_id', 'RSSMRA85T10A562S', 'codice fiscale of Mario Rossi'],
  ['national_id', '11010519491231002X', 'GB 11643-1999'],
  ['national_id', '811228-9874', 'Skatteverket SKV 704'],
];

describe('recognisers', () => {
  it.each(published)('find %s %s', (kind, value) => {
    expect(find(`Please note ${value} for me.`)).toEqual([[kind, value]]);
    expect(find(value)).toEqual([[kind, value]]);
    expect(find(`("${value}")`)).toEqual([[kind, value]]);
  });

  it.each([
    ['national_id', 'SSN: 123456789', '123456789'],
    ['national_id', 'NHS number 943 476 5919', '943 476 5919'],
    ['national_id', 'SIN 046 454 286', '046 454 286'],
    ['national_id', 'Steuer IdNr 86 095 742 719', '86 095 742 719'],
    ['national_id', 'my CPF is 529.982.247-25', '529.982.247-25'],
    ['national_id', 'PESEL 44051401359', '44051401359'],
    ['national_id', 'BSN 111222333', '111222333'],
    ['date_of_birth', 'She was born on 12 March 1985 in Rome', '12 March 1985'],
    ['date_of_birth', 'born March 12th, 1985', 'March 12th, 1985'],
    ['date_of_birth', 'DOB: 1985-03-12', '1985-03-12'],
    ['phone', 'call me at 415 555 2671 today', '415 555 2671'],
    ['phone', 'Tel.: 020 7946 0958', '020 7946 0958'],
    ['phone', 'mobile +49 170 1234567', '+49 170 1234567'],
    ['secret', 'password: hunter2x', 'hunter2x'],
    ['secret', '{"api_key": "abc123def456"}', 'abc123def456'],
    ['secret', 'AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'],
    ['url_credentials', 'postgres://app:s3cr3t@db.example.com/main', 'app:s3cr3t'],
    ['email', 'josé.garcía+test@example.co.uk', 'josé.garcía+test@example.co.uk'],
  ])('find %s by the word before it or its form: %s', (kind, text, value) => {
    expect(find(text)).toContainEqual([kind, value]);
  });

  it.each([
    ['a wrong check digit in a card', '4111 1111 1111 1112'],
    ['a wrong check digit in an IBAN', 'DE88 3704 0044 0532 0130 00'],
    ['a wrong check sum in a wallet', '1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb'],
    ['a date that is nobody’s birth', 'The meeting is on 12 March 2025'],
    ['a version', 'Chrome version 1.2.3.4 is out'],
    ['a time and a date', '2024-01-15 10:30:00'],
    ['names in code', 'std::vector<int> and a::b in foo@2x.png'],
    ['a clone address', 'git@github.com:acme/site.git'],
    ['a package', 'npm i react@18.2.0'],
    ['a digest', 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['a UUID', '123e4567-e89b-12d3-a456-426614174000'],
    ['a bare number', 'order 123456789 of 1000000'],
    ['a word that begins like a key', 'sk-learn-contributors-guide-for-everyone'],
    ['ordinary words after "password"', 'password: required, token: optional'],
    ['loopback', '127.0.0.1 and ::'],
  ])('do not take %s for personal data', (_, text) => {
    expect(find(text)).toEqual([]);
  });

  it('swallow a private key from its header to its footer, and what follows stays', () => {
    const key = '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk=\n-----END OPENSSH PRIVATE KEY-----';
    expect(filter.check(`key:\n${key}\nthanks`, 'output').redactedText).toBe('key:\n[PRIVATE_KEY]\nthanks');
  });

  it('leave certificates alone', () => {
    const text = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----';
    expect(filter.check(text, 'output').redactedText).toBe(text);
  });

  it('see through invisible characters, fullwidth digits and look-alikes, and redact the raw text', () => {
    expect(filter.check('pay ４１１１\u200b 1111\u00a01111 1111 now', 'output').redactedText).toBe('pay [CARD] now');
    expect(filter.check('mail jаne@exаmple.com', 'output').redactedText).toBe('mail [EMAIL]');
  });
});
