locals {
  function_dimensions  = { FunctionName = var.function.name }
  websocket_dimensions = { ApiId = var.websocket_api.id, Stage = var.websocket_api.stage }
  http_dimensions      = { ApiId = var.http_api.id, Stage = "$default" }
  queue_dimensions     = { QueueName = var.failure_queue }

  # Each alarm starts when its metric exceeds `above` within five minutes.
  alarms = {
    function-errors = {
      about      = "Invocations fail. Look in the log for panics, timeouts and invalid configuration."
      namespace  = "AWS/Lambda"
      metric     = "Errors"
      dimensions = local.function_dimensions
      statistic  = "Sum"
      above      = 0
    }
    function-throttles = {
      about      = "Invocations are throttled. Raise the concurrency of the function or of the account."
      namespace  = "AWS/Lambda"
      metric     = "Throttles"
      dimensions = local.function_dimensions
      statistic  = "Sum"
      above      = 0
    }
    function-duration = {
      about      = "Invocations approach the timeout. Run the saved query slow-routes."
      namespace  = "AWS/Lambda"
      metric     = "Duration"
      dimensions = local.function_dimensions
      statistic  = "Maximum"
      above      = var.function.timeout_seconds * 1000 * 0.8
    }
    answers-failed = {
      about      = "Clients receive internal errors. Run the saved query failures."
      namespace  = var.metrics_namespace
      metric     = local.failures
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
    dead-letters = {
      about      = "S3 or schedule events failed after all retries. The dead-letter queue keeps them for 14 days."
      namespace  = "AWS/SQS"
      metric     = "ApproximateNumberOfMessagesVisible"
      dimensions = local.queue_dimensions
      statistic  = "Maximum"
      above      = 0
    }
  }

  # Looked up, so that renaming the metric in the code fails the plan instead of silencing the alarm.
  failures = one([for name in keys(var.metrics) : name if name == "Failures"])
}

resource "aws_cloudwatch_metric_alarm" "all" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.about
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  period              = 300
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}
