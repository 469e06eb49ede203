import type { Duration } from 'aws-cdk-lib';
import { AdjustmentType, type ScalableTarget, StepScalingAction } from 'aws-cdk-lib/aws-applicationautoscaling';
import { Alarm, type AlarmProps, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { ApplicationScalingAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { Construct } from 'constructs';

/** Starts the first one when an alarm says that somebody waits: tracking has nothing to measure while there is none. */
export function leaveZeroOn(
  scope: Construct,
  alarmId: string,
  target: ScalableTarget,
  cooldown: Duration,
  alarm: Pick<AlarmProps, 'alarmDescription' | 'metric' | 'evaluationPeriods'>,
): void {
  const leaveZero = new StepScalingAction(scope, 'LeaveZero', {
    scalingTarget: target,
    adjustmentType: AdjustmentType.CHANGE_IN_CAPACITY,
    cooldown,
  });
  leaveZero.addAdjustment({ adjustment: 1, lowerBound: 0 });
  new Alarm(scope, alarmId, { ...alarm, threshold: 1, treatMissingData: TreatMissingData.NOT_BREACHING }).addAlarmAction(
    new ApplicationScalingAction(leaveZero),
  );
}
