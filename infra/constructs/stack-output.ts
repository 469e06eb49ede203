import { Token } from 'aws-cdk-lib';

/** Another stack's output, read when this stack is deployed, in whichever region the other one is. */
export function stackOutput(stackName: string, region: string, outputName: string): string {
  return Token.asString({ 'Fn::GetStackOutput': { StackName: stackName, Region: region, OutputName: outputName } });
}
