locals {
  function_dimensions  = { FunctionName = var.function.name }
  websocket_dimensions = { ApiId = var.websocket_api.id, Stage = var.websocket_api.stage }
  http_dimensions      = { ApiId = var.http_api.id, Stage = "$default" }
  queue_dimensions     = { QueueName = var.failure_queue }

  # What goes off at more than `above` in five minutes.
  alarms = {
    function-errors = {
      about      = "The function fails: see its log for panics, timeouts and wrong configuration."
      namespace  = "AWS/Lambda"
      metric     = "Errors"
      dimensions = local.function_dimensions
      statistic  = "Sum"
      above      = 0
    }
    function-throttles = {
      about      = "Invocations are turned away: raise the function's or the account's concurrency."
      namespace  = "AWS/Lambda"
      metric     = "Throttles"
      dimensions = local.function_dimensions
      statistic  = "Sum"
      above      = 0
    }
    function-duration = {
      about      = "Invocations come near the timeout: see which routes are slow in the saved query for it."
      namespace  = "AWS/Lambda"
      metric     = "Duration"
      dimensions = local.function_dimensions
      statistic  = "Maximum"
      above      = var.function.timeout_seconds * 1000 * 0.8
    }
    answers-failed = {
      about      = "Clients are answered that something is wrong on our side: see the saved query for failures."
      namespace  = var.metrics_namespace
      metric     = local.failures
      dimensions = {}
      statistic  = "Sum"
      above      = 0
    }
    # Not IntegrationError: that counts the handshakes too which the function refuses, as it should.
    websocket-integration-errors = {
      about      = "API Gateway cannot call the function on the WebSocket side."
      namespace  = "AWS/ApiGateway"
      metric     = "ExecutionError"
      dimensions = local.websocket_dimensions
      statistic  = "Sum"
      above      = 0
    }
    http-integration-errors = {
      about      = "API Gateway answers requests of the HTTP API with a 5xx status."
      namespace  = "AWS/ApiGateway"
      metric     = "5xx"
      dimensions = local.http_dimensions
      statistic  = "Sum"
      above      = 0
    }
    dead-letters = {
      about      = "Events of the bucket or the schedule failed for good: they are in the queue for fourteen days."
      namespace  = "AWS/SQS"
      metric     = "ApproximateNumberOfMessagesVisible"
      dimensions = local.queue_dimensions
      statistic  = "Maximum"
      above      = 0
    }
  }

  # One of ours that an alarm is for: looked up, so that another name in the code fails the plan.
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
