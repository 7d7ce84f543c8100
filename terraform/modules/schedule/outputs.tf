output "rule_arn" {
  description = "ARN of the rule that invokes the function."
  value       = aws_cloudwatch_event_rule.sweep.arn
}
