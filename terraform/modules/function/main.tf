locals {
  # The integration timeout of API Gateway.
  timeout_seconds = 29
}

# Every change publishes a version. Clients, the bucket and the schedule use the alias, which scripts/release moves.
resource "aws_lambda_function" "router" {
  function_name                  = var.name
  role                           = aws_iam_role.router.arn
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = [var.architecture]
  filename                       = var.zip
  source_code_hash               = filebase64sha256(var.zip)
  memory_size                    = var.memory_mb
  timeout                        = local.timeout_seconds
  reserved_concurrent_executions = var.concurrency
  publish                        = true

  environment {
    variables = merge(var.environment, var.secrets)
  }

  # Part of each version, unlike a failure destination: the function invokes its own version.
  dead_letter_config {
    target_arn = aws_sqs_queue.failures.arn
  }

  tracing_config {
    mode = "Active"
  }

  # Lambda would create a log group without retention, and the first invocation needs the policy.
  depends_on = [aws_cloudwatch_log_group.router, aws_iam_role_policy.router]
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "The version that clients use, or two of them while traffic is shifted (scripts/release)."
  function_name    = aws_lambda_function.router.function_name
  function_version = aws_lambda_function.router.version

  lifecycle {
    # scripts/release shifts the traffic, and back.
    ignore_changes = [function_version, routing_config]
  }
}

resource "aws_cloudwatch_log_group" "router" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
}

# Dead-letter queue of asynchronous invocations: S3 events, the schedule and the function's own, after two retries.
# scripts/redrive sends them again.
resource "aws_sqs_queue" "failures" {
  name                      = "${var.name}-failures"
  message_retention_seconds = 14 * 24 * 3600
  sqs_managed_sse_enabled   = true
}

# An event that is older than an hour goes to the queue as well: clients have caught up by then.
resource "aws_lambda_function_event_invoke_config" "router" {
  function_name                = aws_lambda_function.router.function_name
  qualifier                    = aws_lambda_alias.live.name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 3600
}
