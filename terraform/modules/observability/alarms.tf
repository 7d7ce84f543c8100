locals {
  function_dimensions  = { FunctionName = var.function.name }
  websocket_dimensions = { ApiId = var.websocket_api.id, Stage = var.websocket_api.stage }
  http_dimensions      = { ApiId = var.http_api.id, Stage = "$default" }
  queue_dimensions     = { QueueName = var.failure_queue }

  # Each alarm starts when its metric exceeds `above` within five minutes. RUNBOOK.md has an entry for each.
  alarms = {
    function-errors = {
      about      = "Invocations fail: a panic, a timeout or an invalid configuration."
      namespace  = "AWS/Lambda"
      metric     = "Errors"
      dimensions = local.function_dimensions
      statistic  = "Sum"
      above      = 0
    }
    function-throttles = {
      about      = "Invocations are throttled: the concurrency of the function or of the account is used up."
      namespace  = "AWS/Lambda"
      metric     = "Throttles"
      dimensions = local.function_dimensions
      statistic  = "Sum"
      above      = 0
    }
    function-duration = {
      about      = "Invocations approach the timeout."
      namespace  = "AWS/Lambda"
      metric     = "Duration"
      dimensions = local.function_dimensions
      statistic  = "Maximum"
      above      = var.function.timeout_seconds * 1000 * 0.8
    }
    answers-failed = {
      about      = "Clients receive internal errors."
      namespace  = var.metrics_namespace
      metric     = local.metric.Failures
      dimensions = {}
      statistic  = "Sum"
      above      = 0
    }
    rate-limited = {
      about      = "Users exceed their rate limits, more than once a second: a room is flooded, or a client has a bug."
      namespace  = var.metrics_namespace
      metric     = local.metric.RateLimited
      dimensions = {}
      statistic  = "Sum"
      above      = 300
    }
    rate-limits-failed = {
      about      = "Requests are let through without a rate limit, because the table of rate limits fails."
      namespace  = var.metrics_namespace
      metric     = local.metric.LimitsFailed
      dimensions = {}
      statistic  = "Sum"
      above      = 0
    }
    # Not IntegrationError, which also counts handshakes that the function rejects on purpose.
    websocket-integration-errors = {
      about      = "API Gateway cannot invoke the function for the WebSocket API."
      namespace  = "AWS/ApiGateway"
      metric     = "ExecutionError"
      dimensions = local.websocket_dimensions
      statistic  = "Sum"
      above      = 0
    }
    http-integration-errors = {
      about      = "The HTTP API responds with 5xx."
      namespace  = "AWS/ApiGateway"
      metric     = "5xx"
      dimensions = local.http_dimensions
      statistic  = "Sum"
      above      = 0
    }
    gateway-throttled = {
      about      = "API Gateway answers 429: the stage's rate limit or the account's quota is reached."
      namespace  = var.metrics_namespace
      metric     = local.gateway_throttled
      dimensions = {}
      statistic  = "Sum"
      above      = 0
    }
    async-events-dropped = {
      about      = "Lambda drops asynchronous events: S3's, the schedule's or the function's own."
      namespace  = "AWS/Lambda"
      metric     = "AsyncEventsDropped"
      dimensions = local.function_dimensions
      statistic  = "Sum"
      above      = 0
    }
    dead-letters-lost = {
      about      = "Lambda cannot write failed events to the failure queue: they are lost."
      namespace  = "AWS/Lambda"
      metric     = "DeadLetterErrors"
      dimensions = local.function_dimensions
      statistic  = "Sum"
      above      = 0
    }
    dead-letters = {
      about      = "The failure queue is not empty. It keeps events that failed after all retries for 14 days."
      namespace  = "AWS/SQS"
      metric     = "ApproximateNumberOfMessagesVisible"
      dimensions = local.queue_dimensions
      statistic  = "Maximum"
      above      = 0
    }
    # The alarm above goes on while the queue is not empty; this one starts again at each new event.
    dead-letters-new = {
      about      = "Another event has failed after all retries, and is in the failure queue."
      namespace  = "AWS/SQS"
      metric     = "NumberOfMessagesSent"
      dimensions = local.queue_dimensions
      statistic  = "Sum"
      above      = 0
    }
  }

  # Looked up, so that renaming a metric in the code fails the plan instead of silencing the alarm.
  metric = { for name, metric in var.metrics : name => name }
}

resource "aws_cloudwatch_metric_alarm" "all" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.about} See terraform/RUNBOOK.md#${each.key}."
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  period              = 300
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.notify.topic_arns
  ok_actions          = var.notify.topic_arns
}
