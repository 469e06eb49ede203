import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Construct } from 'constructs';
import type { Settings } from '../config.ts';

/** Tells whoever the settings name, when they name somebody. An alarm and its topic live in one region. */
export function createAlarmTopic(scope: Construct, { name, alarmEmail }: Settings): Topic {
  const topic = new Topic(scope, 'Alarms', { displayName: `Penstock ${name}`, enforceSSL: true });
  if (alarmEmail !== undefined) topic.addSubscription(new EmailSubscription(alarmEmail));
  return topic;
}
