locals {
  webhooks = { for webhook in var.webhooks : substr(sha256(webhook.url), 0, 8) => webhook }
}

# The secret of each webhook: generated once, and kept in the state.
resource "terraform_data" "webhook_secret" {
  for_each = local.webhooks

  input = sensitive("${uuid()}${uuid()}")

  lifecycle {
    ignore_changes = [input]
  }
}

resource "aws_cloudwatch_event_connection" "webhook" {
  for_each = local.webhooks

  name               = "${var.name}-${each.key}"
  authorization_type = "API_KEY"

  auth_parameters {
    api_key {
      key   = "x-webhook-secret"
      value = terraform_data.webhook_secret[each.key].output
    }
  }
}

resource "aws_cloudwatch_event_api_destination" "webhook" {
  for_each = local.webhooks

  name                             = "${var.name}-${each.key}"
  invocation_endpoint              = each.value.url
  http_method                      = "POST"
  invocation_rate_limit_per_second = 300
  connection_arn                   = aws_cloudwatch_event_connection.webhook[each.key].arn
}

resource "aws_cloudwatch_event_rule" "webhook" {
  for_each = local.webhooks

  name           = "${var.name}-${each.key}"
  description    = "Events for a webhook."
  event_bus_name = aws_cloudwatch_event_bus.chat.name
  event_pattern  = jsonencode({ source = ["switchboard"], "detail-type" = each.value.events })
}

# The body is the event itself. EventBridge retries for 24 hours.
resource "aws_cloudwatch_event_target" "webhook" {
  for_each = local.webhooks

  rule           = aws_cloudwatch_event_rule.webhook[each.key].name
  event_bus_name = aws_cloudwatch_event_bus.chat.name
  arn            = aws_cloudwatch_event_api_destination.webhook[each.key].arn
  role_arn       = aws_iam_role.webhooks[0].arn
  input_path     = "$.detail"

  http_target {
    header_parameters = { "content-type" = "application/json" }
  }

  dead_letter_config {
    arn = var.failure_queue.arn
  }
}

resource "aws_iam_role" "webhooks" {
  count = length(local.webhooks) == 0 ? 0 : 1

  name = "${var.name}-webhooks"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "events.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "webhooks" {
  count = length(local.webhooks) == 0 ? 0 : 1

  name = "invoke-the-destinations"
  role = aws_iam_role.webhooks[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "events:InvokeApiDestination"
      Resource = [for destination in aws_cloudwatch_event_api_destination.webhook : destination.arn]
    }]
  })
}

# Deliveries that failed after all retries.
resource "aws_sqs_queue_policy" "webhooks" {
  count = length(local.webhooks) == 0 ? 0 : 1

  queue_url = var.failure_queue.url

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sqs:SendMessage"
      Principal = { Service = "events.amazonaws.com" }
      Resource  = var.failure_queue.arn
      Condition = { ArnEquals = { "aws:SourceArn" = [for rule in aws_cloudwatch_event_rule.webhook : rule.arn] } }
    }]
  })
}
