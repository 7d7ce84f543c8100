output "bus" {
  description = "Name and ARN of the event bus."
  value = {
    name = aws_cloudwatch_event_bus.chat.name
    arn  = aws_cloudwatch_event_bus.chat.arn
  }
}

output "webhook_secrets" {
  description = "The secret of each webhook, by its URL: what the header x-webhook-secret of its requests must be."
  value       = { for key, webhook in local.webhooks : webhook.url => terraform_data.webhook_secret[key].output }
  sensitive   = true
}
