/** `npm run weights`: copies a model's weights to where its endpoint reads them. `--help` shows how. */
import { parseArgs } from 'node:util';
import { S3Client } from '@aws-sdk/client-s3';
import { catalog } from '../catalog.ts';
import { Progress } from '../local/progress.ts';
import { uploadFolder } from './upload-folder.ts';

const HELP = `Copies a folder with weights (config.json, *.safetensors, tokenizer files) into the weights bucket of a region.

  npm run weights -- upload FOLDER --model ID --bucket BUCKET

--model ID       a model of the catalog with a deployment: its artifactPrefix says where the weights lie
--bucket BUCKET  the output WeightsBucket of the stack penstock-weights-REGION

Credentials and region are the AWS SDK's own: AWS_PROFILE, AWS_REGION and so on. Files that are there already are not sent again.
`;

try {
  await run(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function run(args: readonly string[]): Promise<void> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { model: text, bucket: text, help: { type: 'boolean', short: 'h' } },
    allowPositionals: true,
  });
  const [command, folder] = positionals;
  if (values.help === true || command === undefined) {
    process.stdout.write(HELP);
    return;
  }
  if (command !== 'upload' || folder === undefined || values.bucket === undefined || values.model === undefined) {
    throw new Error('Say: npm run weights -- upload FOLDER --model ID --bucket BUCKET. --help tells more.');
  }
  const deployment = catalog.find((model) => model.id === values.model)?.deployment;
  if (deployment === undefined) {
    const known = catalog.filter((model) => model.deployment !== undefined).map((model) => model.id);
    throw new Error(`${values.model} is no model of the catalog with a deployment. There are: ${known.join(', ')}.`);
  }
  const progress = new Progress('Uploading');
  const { uploaded, unchanged } = await uploadFolder({
    client: new S3Client({}),
    folder,
    bucket: values.bucket,
    prefix: deployment.artifactPrefix,
    onProgress: (fraction, file) => progress.show(fraction, file),
  });
  progress.end();
  process.stdout.write(
    `${uploaded.length} uploaded, ${unchanged.length} there already, in s3://${values.bucket}/${deployment.artifactPrefix}\n`,
  );
}
