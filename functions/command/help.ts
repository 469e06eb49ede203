/** What `--help` says: of all commands, or of one. */

const LIMITS = `Limits: requests_per_minute, tokens_per_minute, concurrent_requests, tokens_per_day, tokens_per_month, tokens_total,
dollars_per_day, dollars_per_month. Days and months are the calendar's, in UTC. --limit replaces all limits; --limit none removes them.
`;

const ENVIRONMENT = `PENSTOCK_URL      the gateway, default http://127.0.0.1:8080/v1
PENSTOCK_API_KEY  a key with the scope admin, on this machine default sk-local
`;

export const HELP = `Usage: npm run penstock -- COMMAND [options]

  keys            makes, lists, changes, rotates and revokes API keys
  limits          shows and sets the limits of a project or an organisation
  endpoints       what runs behind each model: copies, since when, and why not
  usage           what was used, by generation, day, model, key or project
  privacy         deletes what is kept of an end user; proves that nothing else is kept
  safety-policy   what is done about unsafe text, tenant by tenant
  doctor          what would be deployed to AWS, its cost when idle, and whether the account is ready for it

\`npm run penstock -- COMMAND --help\` says more.

${ENVIRONMENT}`;

export const COMMAND_HELP: Readonly<Record<string, string>> = {
  keys: `Usage: npm run penstock -- keys ACTION [options]

  list [--json]
  create --name NAME [--project ID] [--organization ID] [--scopes generate,usage,client_secrets,admin]
         [--models a,b] [--priority low|normal|high] [--expires-in SECONDS] [--limit NAME=NUMBER]...
  update ID [--name NAME] [--scopes ...] [--models a,b|all] [--priority ...] [--limit NAME=NUMBER]...
  rotate ID [--grace SECONDS]     a new secret; the old one is good for a day, or for SECONDS
  revoke ID

A key's secret is in the answer of create and rotate, and nowhere else. Changes are seen by every gateway within 5 seconds.

  npm run penstock -- keys create --name app --limit tokens_per_day=100000 --limit concurrent_requests=8
  npm run penstock -- keys update key_... --limit dollars_per_month=50

${LIMITS}
${ENVIRONMENT}`,

  limits: `Usage: npm run penstock -- limits get|set project|organization ID [--limit NAME=NUMBER]...

A key may use what its own limits, its project's and its organisation's all leave.

  npm run penstock -- limits set project web --limit dollars_per_day=2.5
  npm run penstock -- limits get project web

${LIMITS}
${ENVIRONMENT}`,

  endpoints: `Usage: npm run penstock -- endpoints [--json]

A line for each place where a model is served, in every region, as SageMaker tells it to the gateway: copies that run and copies that are wanted,
since when it has been so, and the reason of a change that failed. \`circuit\` is the gateway's own: open after three failed calls in a row.

${ENVIRONMENT}`,

  usage: `Usage: npm run penstock -- usage [--from DATE] [--to DATE] [--by day,model,api_key,project] [--organization ID] [--csv|--json]

The last 30 days when no date is given; a line for each generation when --by is not given. --csv and --json tell all that is known: where each
call went and how it ended, what the safety policy said, what the caller is charged (cost_dollars) and what the own instances cost
(own_cost_dollars, when the catalog has their price).

  npm run penstock -- usage --by day,model
  npm run penstock -- usage --from 2026-11-01 --to 2026-12-01 --csv > november.csv

${ENVIRONMENT}`,

  'safety-policy': `Usage: npm run penstock -- safety-policy get|set|delete default|project ID|organization ID [--file POLICY.json]
       npm run penstock -- safety-policy show DIGEST

docs/safety.md has the form of a policy; --file - reads it from the standard input. \`show\` gives the policy that judged a generation, as its
line in the ledger names it.

${ENVIRONMENT}`,

  privacy: `Usage: npm run penstock -- privacy delete --user ID [--organization ID]
       npm run penstock -- privacy prove [--seed-leak]

delete   removes all generations, responses and conversations that are kept of an end user, as requests name one in \`user\` or
         \`safety_identifier\`. Lines of the ledger stay: they have neither text nor users.
prove    plants canaries in a gateway of its own, which takes half a minute, and searches everything that it leaves behind. Exits 1 when it
         finds one. --seed-leak gives that gateway a leak, to see that the search finds it.

${ENVIRONMENT}`,
};
