/** Every finding of cdk-nag (AwsSolutions) that stays, and why. Any other finding fails the synthesis. */
import { type App, Stack, Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import type { Settings } from './config.ts';

interface Acknowledged {
  /** Stack (without the installation's name and region) and construct below it; `*` ends an id that CDK completes. */
  readonly at: readonly [stack: string, path: string];
  /** Rule, and for IAM the permission; ACCOUNT and REGION stand for the stack's, PREFIX for each model's. */
  readonly rules: readonly string[];
  readonly reason: string;
}

const ACKNOWLEDGED: readonly Acknowledged[] = [
  {
    at: ['data', 'OriginSecret'],
    rules: ['SMG4'],
    reason: 'CloudFront holds the secret in its configuration, so it is changed by a deployment: docs/operations.md#rotate-secrets',
  },
  {
    at: ['data', 'FirstApiKey'],
    rules: ['SMG4'],
    reason: 'A caller holds it: whoever changes it has to tell them. docs/operations.md#rotate-secrets',
  },
  {
    at: ['canary', 'ApiKey'],
    rules: ['SMG4'],
    reason: 'Whoever deploys makes the key and changes it: docs/operations.md#give-the-canary-its-key',
  },
  {
    at: ['canary', 'Role/DefaultPolicy'],
    rules: ['IAM5[Resource::<Logs6819BB44.Arn>:*]'],
    reason: "Lambda names the streams of the function's own log group",
  },
  {
    at: ['weights', 'Weights'],
    rules: ['S1'],
    reason: 'Only the endpoints of its region read it; CloudTrail data events tell who else did, for whoever pays for them',
  },
  {
    at: ['inference', 'Results'],
    rules: ['S1'],
    reason:
      'SageMaker and the jobs alone write it, and whoever fetched an answer deletes it; CloudTrail data events tell who reads it, for whoever pays for them',
  },
  {
    at: ['private', 'Network/Vpc'],
    rules: ['VPC7'],
    reason: 'The network has no way out or in but the endpoints of AWS, whose calls CloudTrail tells',
  },
  {
    at: ['inference', 'Network/Vpc'],
    rules: ['VPC7'],
    reason: 'The network has no way out or in, and its containers are isolated by SageMaker: there is no flow to look at but S3',
  },
  {
    at: ['inference', 'ModelRole/DefaultPolicy'],
    rules: ['IAM5[Resource::*]'],
    reason: 'ecr:GetAuthorizationToken, cloudwatch:PutMetricData (narrowed by namespace) and ec2:Describe* know no narrower resource',
  },
  {
    at: ['inference', 'ModelRole/DefaultPolicy'],
    rules: ['IAM5[Resource::arn:aws:logs:REGION:ACCOUNT:log-group:/aws/sagemaker/*]'],
    reason: 'SageMaker names the log groups of its endpoints itself',
  },
  {
    at: ['inference', 'ModelRole/DefaultPolicy'],
    rules: ['network-interface', 'security-group', 'subnet'].map((kind) => `IAM5[Resource::arn:aws:ec2:REGION:ACCOUNT:${kind}/*]`),
    reason: 'SageMaker makes the network interfaces of endpoints and names them itself',
  },
  {
    at: ['inference', 'ModelRole/DefaultPolicy'],
    rules: [
      'IAM5[Resource::{"Fn::GetStackOutput":{"StackName":"STACKS-weights-REGION","Region":"REGION","OutputName":"PublishOutputFnGetAttWeights79DEE8EFArn90ECC059"}}/PREFIX*]',
    ],
    reason: "A model's weights are the files below its prefix",
  },
  {
    at: ['inference', 'ModelRole/DefaultPolicy'],
    rules: ['IAM5[Resource::<Results25575328.Arn>/*]', 'IAM5[Resource::<Results25575328.Arn>/requests/*]'],
    reason: 'SageMaker names the answers of asynchronous endpoints itself, and a request has the name of its generation',
  },
  {
    at: ['jobs', 'Role/DefaultPolicy'],
    rules: [
      'IAM5[Resource::{"Fn::GetStackOutput":{"StackName":"STACKS-inference-REGION","Region":"REGION","OutputName":"PublishOutputFnGetAttResults25575328ArnD6E613B6"}}/*]',
    ],
    reason: 'SageMaker names the answers of asynchronous endpoints itself, and a request has the name of its generation',
  },
  {
    at: ['jobs', 'Role/DefaultPolicy'],
    rules: ['IAM5[Resource::<Logs6819BB44.Arn>:*]'],
    reason: "Lambda names the streams of the function's own log group",
  },
  {
    at: ['gateway', 'Role/DefaultPolicy'],
    rules: ['IAM5[Resource::<Logs6819BB44.Arn>:*]'],
    reason: "Lambda names the streams of the function's own log group",
  },
  {
    at: ['gateway', 'Deployment/ServiceRole'],
    rules: ['IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited]'],
    reason: "CDK gives CodeDeploy AWS's limited policy for it, which has no full access to anything",
  },
  {
    at: ['gateway', 'AWSCDKWebFunctionAssetBucket'],
    rules: ['S1'],
    reason: "CDK's bucket for the package of the web function, which holds what is in this repository",
  },
  {
    at: ['gateway', 'Custom::S3ObjectCopy*/ServiceRole'],
    rules: ['IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]'],
    reason: "CDK's own function, which copies that package while the stack is deployed",
  },
  {
    at: ['gateway', 'Custom::S3ObjectCopy*/ServiceRole/DefaultPolicy'],
    rules: [
      'IAM5[Resource::arn:aws:s3:::cdk-hnb659fds-assets-ACCOUNT-REGION/*]',
      'IAM5[Action::s3:Abort*]',
      'IAM5[Action::s3:DeleteObject*]',
      'IAM5[Resource::<AWSCDKWebFunctionAssetBucket5B596593.Arn>/web-function/*]',
    ],
    reason: "CDK's own function, which copies that package while the stack is deployed",
  },
  {
    at: ['gateway', 'WebGateway/Endpoint'],
    rules: ['Annotation::@aws-cdk/aws-lambda:webFunctionPublicEndpoint'],
    reason: "OpenAI's SDKs cannot sign; the function checks the CDN's secret and the caller's key",
  },
  {
    at: ['edge', 'Cdn'],
    rules: ['CFR3'],
    reason: "The gateway logs every request that it answers by its id; an access log would keep callers' addresses for nothing more",
  },
  {
    at: ['edge', 'Cdn'],
    rules: ['CFR4'],
    reason: 'Without a domain of yours CloudFront sets the TLS floor itself; with one it is TLS 1.2. To the function it is TLS 1.2 always',
  },
  { at: ['edge', 'Cdn'], rules: ['CFR1'], reason: 'Which countries may call is for whoever deploys to say' },
  { at: ['edge', 'Cdn'], rules: ['CFR2'], reason: "The demo profile goes without the firewall's fixed price; production has it" },
];

export function acknowledgeFindings(app: App, { name, account }: Settings, weightPrefixes: readonly string[]): void {
  const stacks = app.node.children.filter((child) => child instanceof Stack);
  for (const { at, rules, reason } of ACKNOWLEDGED) {
    const [kind, path] = at;
    for (const stack of stacks.filter(({ stackName }) => stackName.startsWith(`${name}-${kind}`))) {
      const place = path.split('/').reduce<IConstruct | undefined>(findChild, stack);
      if (place === undefined) continue; // this profile does without
      const expand = (rule: string) => (rule.includes('PREFIX') ? weightPrefixes.map((prefix) => rule.replace('PREFIX', prefix)) : [rule]);
      const ids = rules
        .flatMap(expand)
        .map((rule) => rule.replaceAll('REGION', stack.region).replaceAll('ACCOUNT', account).replaceAll('STACKS', name));
      Validations.of(place).acknowledge(
        ...ids.map((id) => ({ id: id.startsWith('Annotation::') ? id : `AwsSolutions::AwsSolutions-${id}`, reason })),
      );
    }
  }
}

function findChild(scope: IConstruct | undefined, id: string): IConstruct | undefined {
  return id.endsWith('*') ? scope?.node.children.find((child) => child.node.id.startsWith(id.slice(0, -1))) : scope?.node.tryFindChild(id);
}
