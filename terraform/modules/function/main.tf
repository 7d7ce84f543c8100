locals {
  # The integration timeout of API Gateway.
  timeout_seconds = 29
}

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

  environment {
    variables = merge(var.environment, var.secrets)
  }

  tracing_config {
    mode = "Active"
  }

  # Lambda would create a log group without retention, and the first invocation needs the policy.
  depends_on = [aws_cloudwatch_log_group.router, aws_iam_role_policy.router]
}

resource "aws_cloudwatch_log_group" "router" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
}

# Dead-letter queue of asynchronous invocations: S3 events, the schedule and the function's own, after two retries.
resource "aws_sqs_queue" "failures" {
  name                      = "${var.name}-failures"
  message_retention_seconds = 14 * 24 * 3600
  sqs_managed_sse_enabled   = true
}

resource "aws_lambda_function_event_invoke_config" "router" {
  function_name          = aws_lambda_function.router.function_name
  maximum_retry_attempts = 2

  destination_config {
    on_failure {
      destination = aws_sqs_queue.failures.arn
    }
  }
}
