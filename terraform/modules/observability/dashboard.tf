locals {
  counts = [for name, metric in var.metrics : name if length(metric.dimensions) == 0]
  timed  = [for name, metric in var.metrics : name if length(metric.dimensions) > 0]

  graphs = concat(
    [for name in local.counts : {
      title   = name
      stat    = "Sum"
      metrics = [[var.metrics_namespace, name]]
    }],
    [for name in local.timed : {
      title = "${name} by ${join(", ", var.metrics[name].dimensions)}, 99th percentile"
      stat  = "p99"
      metrics = [[{ expression = join("", [
        "SEARCH('{\"${var.metrics_namespace}\",${join(",", var.metrics[name].dimensions)}} ",
        "MetricName=\"${name}\"', 'p99')",
      ]) }]]
    }],
    [
      {
        title = "Function: invocations, errors, throttles"
        stat  = "Sum"
        metrics = [for metric in ["Invocations", "Errors", "Throttles"] :
        ["AWS/Lambda", metric, "FunctionName", var.function.name]]
      },
      {
        title   = "Function: duration, 99th percentile, ms"
        stat    = "p99"
        metrics = [["AWS/Lambda", "Duration", "FunctionName", var.function.name]]
      },
      {
        title   = "Function: concurrent executions"
        stat    = "Maximum"
        metrics = [["AWS/Lambda", "ConcurrentExecutions", "FunctionName", var.function.name]]
      },
      {
        title = "WebSocket API: connects, messages, errors"
        stat  = "Sum"
        metrics = [for metric in ["ConnectCount", "MessageCount", "ClientError", "ExecutionError", "IntegrationError"] :
        ["AWS/ApiGateway", metric, "ApiId", var.websocket_api.id, "Stage", var.websocket_api.stage]]
      },
      {
        title = "HTTP API: requests, errors"
        stat  = "Sum"
        metrics = [for metric in ["Count", "4xx", "5xx"] :
        ["AWS/ApiGateway", metric, "ApiId", var.http_api.id, "Stage", "$default"]]
      },
      {
        title   = "Events that failed for good"
        stat    = "Maximum"
        metrics = [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.failure_queue]]
      },
    ],
  )
}

resource "aws_cloudwatch_dashboard" "chat" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [for place, graph in local.graphs : {
      type   = "metric"
      x      = place % 3 * 8
      y      = floor(place / 3) * 6
      width  = 8
      height = 6
      properties = {
        title   = graph.title
        stat    = graph.stat
        metrics = graph.metrics
        region  = data.aws_region.current.name
        period  = 300
        view    = "timeSeries"
      }
    }]
  })
}

data "aws_region" "current" {}
