import { CfnWebACL } from 'aws-cdk-lib/aws-wafv2';
import type { Construct } from 'constructs';

/** Per address and five minutes. A person types less; an app's server belongs behind keys with limits of their own. */
const REQUESTS_PER_ADDRESS = 3000;

/**
 * AWS WAF for CloudFront (us-east-1). Prompts are free text, so no rule looks into bodies: the core rule set would refuse long ones and
 * those that speak of SQL or scripts.
 */
export function createFirewall(scope: Construct, id: string): CfnWebACL {
  const visible = (metricName: string) => ({ cloudWatchMetricsEnabled: true, metricName, sampledRequestsEnabled: false });
  const managed = (name: string, priority: number, bodyRules: readonly string[] = []) => ({
    name,
    priority,
    overrideAction: { none: {} },
    statement: {
      managedRuleGroupStatement: {
        vendorName: 'AWS',
        name,
        ruleActionOverrides: bodyRules.map((rule) => ({ name: rule, actionToUse: { count: {} } })),
      },
    },
    visibilityConfig: visible(name),
  });
  return new CfnWebACL(scope, id, {
    scope: 'CLOUDFRONT',
    defaultAction: { allow: {} },
    visibilityConfig: visible('Firewall'),
    rules: [
      {
        name: 'TooManyRequests',
        priority: 0,
        action: { block: { customResponse: { responseCode: 429 } } },
        statement: { rateBasedStatement: { limit: REQUESTS_PER_ADDRESS, aggregateKeyType: 'IP' } },
        visibilityConfig: visible('TooManyRequests'),
      },
      managed('AWSManagedRulesAmazonIpReputationList', 1),
      managed('AWSManagedRulesKnownBadInputsRuleSet', 2, ['Log4JRCE_BODY', 'JavaDeserializationRCE_BODY']),
    ],
  });
}
