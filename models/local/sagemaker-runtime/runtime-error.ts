/**
 * What SageMaker's runtime answers instead of a result, before a stream begins. Shapes: the service model of SageMaker Runtime
 * (2017-05-13); the signature errors are those of every AWS service. https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
 */
export type RuntimeErrorName = keyof typeof STATUS;

const STATUS = {
  ValidationError: 400,
  IncompleteSignatureException: 403,
  InvalidSignatureException: 403,
  MissingAuthenticationTokenException: 403,
  UnrecognizedClientException: 403,
  UnknownOperationException: 404,
  ModelError: 424,
  ModelNotReadyException: 429,
  ThrottlingException: 429,
  InternalFailure: 500,
  ServiceUnavailable: 503,
  InternalDependencyException: 530,
} as const;

export class RuntimeError extends Error {
  override readonly name: RuntimeErrorName;
  readonly status: number;
  readonly fields: Readonly<Record<string, string | number>>;
  constructor(name: RuntimeErrorName, message: string, fields: Readonly<Record<string, string | number>> = {}) {
    super(message);
    this.name = name;
    this.status = STATUS[name];
    this.fields = fields;
  }

  /** The modelled errors spell it `Message`, the ones common to all services `message`; clients read both. */
  get body(): string {
    return JSON.stringify({ Message: this.message, message: this.message, ...this.fields });
  }
}

/** The container answered other than 2xx; status 0 stands for a container that gave no answer at all, as in AWS. */
export function modelError(status: number, containerMessage: string, endpointName: string, region: string): RuntimeError {
  const side = status >= 400 && status < 500 ? 'client' : 'server';
  const logGroup = `/aws/sagemaker/Endpoints/${endpointName}`;
  return new RuntimeError(
    'ModelError',
    `Received ${side} error (${status}) from primary with message "${containerMessage}". See the log group ${logGroup} for more information.`,
    {
      OriginalStatusCode: status,
      OriginalMessage: containerMessage,
      LogStreamArn: `arn:aws:logs:${region}:000000000000:log-group:${logGroup}`,
    },
  );
}

/** Ends a stream from inside. */
export interface StreamFault {
  readonly exception: 'ModelStreamError' | 'InternalStreamFailure';
  readonly message: string;
  readonly errorCode?: 'ModelInvocationTimeExceeded' | 'StreamBroken';
}

export const STREAM_BROKEN: StreamFault = {
  exception: 'ModelStreamError',
  message: 'The connection between the endpoint and the model was reset or closed.',
  errorCode: 'StreamBroken',
};
export const STREAM_TIME_EXCEEDED: StreamFault = {
  exception: 'ModelStreamError',
  message: 'The model did not finish sending its response within the time allowed.',
  errorCode: 'ModelInvocationTimeExceeded',
};
export const STREAM_FAILURE: StreamFault = {
  exception: 'InternalStreamFailure',
  message: 'The stream processing failed. Try your request again.',
};
