/** What works on the queue of background responses, in Lambda. The same pipeline as the gateway's, begun by a message in place of a request. */
import { createJsonLog } from '../drivers/json-log.ts';
import { createLambdaServices } from '../drivers/lambda-services.ts';
import { createS3Objects } from '../drivers/s3-objects.ts';
import { createSageMakerAsyncEndpoint } from '../drivers/sagemaker-async-endpoint.ts';
import { loadJobsConfig } from '../gateway/config.ts';
import { createRoom } from '../gateway/generation/room.ts';
import { createGenerationJob } from './run-generation-job.ts';
import { createSqsHandler } from './sqs-event.ts';

const config = loadJobsConfig();
const log = createJsonLog((line) => process.stdout.write(line));
const services = await createLambdaServices(config, log);
const { offlineBucket } = config;
const offline =
  offlineBucket === undefined
    ? {}
    : { offline: createSageMakerAsyncEndpoint(createS3Objects(offlineBucket), offlineBucket, services.clock) };

export const handler = createSqsHandler(createGenerationJob(createRoom({ ...services, ...offline }, config)), log);
