output "function" {
  description = "The function: its name, ARN, the ARN that API Gateway invokes it by, and its timeout in seconds."
  value = {
    name            = aws_lambda_function.router.function_name
    arn             = aws_lambda_function.router.arn
    invoke_arn      = aws_lambda_function.router.invoke_arn
    timeout_seconds = local.timeout_seconds
  }
}

output "log_group" {
  description = "Name and ARN of the function's log group."
  value = {
    name = aws_cloudwatch_log_group.router.name
    arn  = aws_cloudwatch_log_group.router.arn
  }
}

output "failure_queue" {
  description = "Name and ARN of the queue for events that failed for good."
  value = {
    name = aws_sqs_queue.failures.name
    arn  = aws_sqs_queue.failures.arn
  }
}
