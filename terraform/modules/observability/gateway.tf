# API Gateway has no metric for its own 429s, but an access log. Where the function answered 429, its own rate limits, the
# integration has a status.
locals {
  gateway_throttled = "GatewayThrottled"
  access_logs       = { websocket = var.websocket_api.access_log, http = var.http_api.access_log }
}

resource "aws_cloudwatch_log_metric_filter" "throttled" {
  for_each = local.access_logs

  name           = "${var.name}-${each.key}-throttled"
  log_group_name = each.value
  pattern        = "{ $.status = \"429\" && $.integration_status = \"-\" }"

  metric_transformation {
    namespace = var.metrics_namespace
    name      = local.gateway_throttled
    value     = "1"
    unit      = "Count"
  }
}
