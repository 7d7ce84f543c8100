output "websocket_url" {
  description = "URL of the WebSocket API."
  value       = module.websocket_api.url
}

output "websocket_endpoint" {
  description = "Host and stage of the WebSocket API, without a scheme: the function's WEBSOCKET_ENDPOINT."
  value       = module.websocket_api.endpoint
}

output "http_url" {
  description = "URL of the HTTP API."
  value       = module.http_api.url
}

output "uploads_bucket" {
  description = "Name of the uploads bucket."
  value       = module.uploads.bucket.name
}

output "table_names" {
  description = "Name of each table, by the environment variable that names it."
  value       = { for variable, table in module.tables.tables : variable => table.name }
}

output "log_group" {
  description = "Log group of the function, which scripts/logs reads."
  value       = module.function.log_group.name
}

output "function" {
  description = "Name, alias and newest version of the function, which scripts/release reads."
  value = {
    name    = module.function.function.name
    alias   = module.function.function.alias
    version = module.function.version
  }
}

output "failure_queue" {
  description = "Name of the dead-letter queue, which scripts/redrive reads."
  value       = module.function.failure_queue.name
}

output "authentication" {
  description = "Mode, iss and aud of tokens that are signed with jwt_secret: the smoke test signs its own like that."
  value = {
    mode     = var.chat.auth_mode
    issuer   = var.chat.jwt_issuer
    audience = var.chat.jwt_audience
  }
}

output "region" {
  description = "Region of the deployment."
  value       = module.observability.region
}

output "dashboard_url" {
  description = "URL of the dashboard in the AWS console."
  value       = module.observability.dashboard_url
}

output "event_bus" {
  description = "Name and ARN of the event bus, for rules of your own; null without events."
  value       = one(module.events[*].bus)
}

output "webhook_secrets" {
  description = "The secret of each webhook, by its URL."
  value       = one(module.events[*].webhook_secrets)
  sensitive   = true
}

output "dns_targets" {
  description = "With custom domains: the target of each name's DNS alias or CNAME record."
  value       = merge(module.websocket_api.dns_target, module.http_api.dns_target)
}

output "protected" {
  description = "Whether tables have deletion protection; scripts/destroy reads it."
  value       = var.protect
}
