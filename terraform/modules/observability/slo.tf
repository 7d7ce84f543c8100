# The objective: 99.9 % of sends are answered within a second (src/metrics.rs has the second). An alarm starts when
# the errors that are allowed in 30 days are used up too fast, in a long and in a short window: it starts early and
# ends soon. The rates are those of the SRE workbook of Google, chapter 5.

locals {
  objective_percent = 99.9

  # At a burn rate of 14.4, an hour uses up 2 % of what 30 days allow; at 6, six hours use up 5 %.
  windows = {
    fast-long  = { seconds = 3600, burn_rate = 14.4 }
    fast-short = { seconds = 300, burn_rate = 14.4 }
    slow-long  = { seconds = 21600, burn_rate = 6 }
    slow-short = { seconds = 1800, burn_rate = 6 }
  }
}

resource "aws_cloudwatch_metric_alarm" "burn_rate" {
  for_each = local.windows

  alarm_name          = "${var.name}-sends-burn-${each.key}"
  alarm_description   = "Part of the alarm ${var.name}-sends-too-slow. See terraform/RUNBOOK.md#sends-too-slow."
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.burn_rate
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "result"
    label       = "burn rate"
    expression  = "100 * missed / sends / ${format("%.1f", 100 - local.objective_percent)}"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { missed = local.metric.SendsMissed, sends = local.metric.Sends }

    content {
      id = metric_query.key

      metric {
        namespace   = var.metrics_namespace
        metric_name = metric_query.value
        stat        = "Sum"
        period      = each.value.seconds
      }
    }
  }
}

resource "aws_cloudwatch_composite_alarm" "sends" {
  alarm_name = "${var.name}-sends-too-slow"
  alarm_description = join(" ", [
    "Less than ${local.objective_percent} % of sends are answered within a second.",
    "See terraform/RUNBOOK.md#sends-too-slow.",
  ])
  alarm_rule = join(" OR ", [for speed in ["fast", "slow"] : join(" AND ", [
    "(ALARM(\"${aws_cloudwatch_metric_alarm.burn_rate["${speed}-long"].alarm_name}\")",
    "ALARM(\"${aws_cloudwatch_metric_alarm.burn_rate["${speed}-short"].alarm_name}\"))",
  ])])
  alarm_actions = var.notify.topic_arns
  ok_actions    = var.notify.topic_arns
}
