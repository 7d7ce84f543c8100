# Alarms on more than one metric, and the one on a metric that is missing.

locals {
  by_tables = join(" OR ", [for table in sort(var.table_names) : "TableName = '${table}'"])

  # Each alarm starts when its expression exceeds `above` within five minutes.
  computed_alarms = {
    posts-failed = {
      about = "More than a tenth of the posts to clients fail: messages are stored, but not delivered live."
      above = 10
      # The function reports both as soon as a post fails. Without failures there is no result, which is no breach.
      expression = "100 * failed / (failed + delivered)"
      metrics    = { failed = local.metric.PostsFailed, delivered = local.metric.Recipients }
    }
    # Metrics Insights: one alarm for all tables. DynamoDB writes these metrics only when they are not zero.
    dynamodb-throttles = {
      about      = "DynamoDB throttles requests to a table."
      above      = 0
      expression = "SELECT SUM(ThrottledRequests) FROM \"AWS/DynamoDB\" WHERE ${local.by_tables}"
      metrics    = {}
    }
    dynamodb-system-errors = {
      about      = "DynamoDB answers with internal errors."
      above      = 0
      expression = "SELECT SUM(SystemErrors) FROM \"AWS/DynamoDB\" WHERE ${local.by_tables}"
      metrics    = {}
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "computed" {
  for_each = local.computed_alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.about} See terraform/RUNBOOK.md#${each.key}."
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.notify.topic_arns
  ok_actions          = var.notify.topic_arns

  metric_query {
    id          = "result"
    label       = each.key
    expression  = each.value.expression
    period      = length(each.value.metrics) == 0 ? 300 : null
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id = metric_query.key

      metric {
        namespace   = var.metrics_namespace
        metric_name = metric_query.value
        stat        = "Sum"
        period      = 300
      }
    }
  }
}

# The schedule runs every ten minutes, and each of its invocations writes a duration.
resource "aws_cloudwatch_metric_alarm" "schedule" {
  alarm_name          = "${var.name}-schedule-stopped"
  alarm_description   = "The schedule has not run for half an hour. See terraform/RUNBOOK.md#schedule-stopped."
  namespace           = var.metrics_namespace
  metric_name         = local.metric.Duration
  dimensions          = { route = "schedule" }
  statistic           = "SampleCount"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 1800
  evaluation_periods  = 1
  treat_missing_data  = "breaching"
  alarm_actions       = var.notify.topic_arns
  ok_actions          = var.notify.topic_arns
}
