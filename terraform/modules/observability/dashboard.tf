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
        title = "Posts to clients: delivered, failed, stale"
        stat  = "Sum"
        metrics = [for name in ["Recipients", "PostsFailed", "ConnectionsGone"] :
        [var.metrics_namespace, local.metric[name]]]
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
        title = "Traffic: requests and messages per second, both APIs (the quota is shared with posts to clients)"
        stat  = "Sum"
        metrics = [
          [{ expression = "(FILL(ws, 0) + FILL(http, 0) + FILL(posts, 0)) / PERIOD(posts)", label = "all" }],
          ["AWS/ApiGateway", "MessageCount", "ApiId", var.websocket_api.id, "Stage", var.websocket_api.stage,
          { id = "ws", visible = false }],
          ["AWS/ApiGateway", "Count", "ApiId", var.http_api.id, "Stage", "$default", { id = "http", visible = false }],
          [var.metrics_namespace, local.metric.Recipients, { id = "posts", visible = false }],
        ]
      },
      {
        title   = "API Gateway: 429 of its own"
        stat    = "Sum"
        metrics = [[var.metrics_namespace, local.gateway_throttled]]
      },
      {
        title   = "HTTP API: latency, 99th percentile, ms"
        stat    = "p99"
        metrics = [["AWS/ApiGateway", "Latency", "ApiId", var.http_api.id, "Stage", "$default"]]
      },
      {
        title = "DynamoDB: read units by table"
        stat  = "Sum"
        metrics = [for table in sort(var.table_names) :
        ["AWS/DynamoDB", "ConsumedReadCapacityUnits", "TableName", table]]
      },
      {
        title = "DynamoDB: write units by table"
        stat  = "Sum"
        metrics = [for table in sort(var.table_names) :
        ["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", table]]
      },
      {
        title = "DynamoDB: throttled requests and internal errors"
        stat  = "Sum"
        metrics = [for metric in ["ThrottledRequests", "SystemErrors"] : [{ expression = join("", [
          "SELECT SUM(${metric}) FROM \"AWS/DynamoDB\" WHERE ${local.by_tables}",
        ]), label = metric }]]
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
        region  = data.aws_region.current.id
        period  = 300
        view    = "timeSeries"
      }
    }]
  })
}

data "aws_region" "current" {}
