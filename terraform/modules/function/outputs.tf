output "function" {
  description = "Name, alias, ARN and invocation ARN (for API Gateway) of the alias, and timeout in seconds."
  value = {
    name            = aws_lambda_function.router.function_name
    alias           = aws_lambda_alias.live.name
    arn             = aws_lambda_alias.live.arn
    invoke_arn      = aws_lambda_alias.live.invoke_arn
    timeout_seconds = local.timeout_seconds
  }
}

output "log_group" {
  description = "Name and ARN of the log group."
  value = {
    name = aws_cloudwatch_log_group.router.name
    arn  = aws_cloudwatch_log_group.router.arn
  }
}

output "failure_queue" {
  description = "Name, ARN and URL of the dead-letter queue."
  value = {
    name = aws_sqs_queue.failures.name
    arn  = aws_sqs_queue.failures.arn
    url  = aws_sqs_queue.failures.url
  }
}

output "role" {
  description = "Name of the function's role."
  value       = aws_iam_role.router.name
}

output "version" {
  description = "The newest version, which scripts/release shifts the alias to."
  value       = aws_lambda_function.router.version
}
