locals {
  # Only these records invoke the function: not the rows that TTL deletes, nor those that tell nothing to others. A key
  # of the log begins with 0, a key of the log of changes with chg#.
  filters = {
    MESSAGES_TABLE = [{
      eventName = ["INSERT"]
      dynamodb  = { Keys = { messageId = { S = [{ prefix = "0" }, { prefix = "chg#" }] } } }
    }]
    MEMBERS_TABLE = [
      { eventName = ["INSERT", "MODIFY"] },
      { eventName = ["REMOVE"], userIdentity = { principalId = [{ exists = false }] } },
    ]
    CHAT_ROOMS_TABLE = [{ eventName = ["INSERT", "MODIFY"] }]
    REPORTS_TABLE    = [{ eventName = ["INSERT", "MODIFY"] }]
  }
}

resource "aws_cloudwatch_event_bus" "chat" {
  name = var.name
}

resource "aws_cloudwatch_event_archive" "chat" {
  count = var.archive_days == null ? 0 : 1

  name             = var.name
  event_source_arn = aws_cloudwatch_event_bus.chat.arn
  retention_days   = var.archive_days
}

# A batch that fails is split in two, and tried again for as long as the stream keeps it. What still fails is in the
# queue as a reference to its records.
resource "aws_lambda_event_source_mapping" "stream" {
  for_each = var.streams

  event_source_arn                   = each.value
  function_name                      = var.function.arn
  starting_position                  = "TRIM_HORIZON"
  batch_size                         = 100
  bisect_batch_on_function_error     = true
  maximum_record_age_in_seconds      = 24 * 3600
  function_response_types            = ["ReportBatchItemFailures"]
  maximum_batching_window_in_seconds = 0

  filter_criteria {
    dynamic "filter" {
      for_each = local.filters[each.key]

      content {
        pattern = jsonencode(filter.value)
      }
    }
  }

  destination_config {
    on_failure {
      destination_arn = var.failure_queue.arn
    }
  }

  # Lambda reads the stream with the function's role.
  depends_on = [aws_iam_role_policy.events]
}

resource "aws_iam_role_policy" "events" {
  name = "events"
  role = var.function.role

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "events:PutEvents"
        Resource = aws_cloudwatch_event_bus.chat.arn
      },
      {
        Effect   = "Allow"
        Action   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]
        Resource = [for stream in var.streams : stream]
      },
      {
        Effect   = "Allow"
        Action   = "dynamodb:ListStreams"
        Resource = [for stream in var.streams : "${split("/stream/", stream)[0]}/stream/*"]
      },
    ]
  })
}

# How far the function is behind.
resource "aws_cloudwatch_metric_alarm" "behind" {
  alarm_name          = "${var.name}-events-behind"
  alarm_description   = "Events are more than five minutes late. See terraform/RUNBOOK.md#events-behind."
  namespace           = "AWS/Lambda"
  metric_name         = "IteratorAge"
  dimensions          = { FunctionName = var.function.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 5 * 60 * 1000
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}
