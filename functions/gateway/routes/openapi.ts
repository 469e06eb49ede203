import manifest from '../../../package.json' with { type: 'json' };
import { createOpenApiDocument } from '../openai/openapi.ts';
import { renderDocsPage } from '../openai/openapi-page.ts';

/** `GET /openapi.json` */
export function showOpenApi(): Response {
  return new Response(document(), { headers: { 'content-type': 'application/json', 'cache-control': 'public, max-age=3600' } });
}

/** `GET /docs` */
export function showDocs(): Response {
  return new Response(renderDocsPage(JSON.parse(document())), {
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'public, max-age=3600',
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
    },
  });
}

let made: string | undefined;

/** Made once, when somebody asks for it first. */
function document(): string {
  made ??= JSON.stringify(createOpenApiDocument(manifest.version));
  return made;
}
