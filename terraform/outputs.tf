output "websocket_url" {
  description = "Where clients open their WebSocket."
  value       = module.websocket_api.url
}

output "websocket_endpoint" {
  description = "The WebSocket API's host and stage without a scheme: the function's WEBSOCKET_ENDPOINT."
  value       = module.websocket_api.endpoint
}

output "http_url" {
  description = "Where clients ask the HTTP API."
  value       = module.http_api.url
}

output "uploads_bucket" {
  description = "The bucket that files are uploaded to."
  value       = module.uploads.bucket.name
}

output "table_names" {
  description = "What each table is called, by the function's variable for it."
  value       = { for variable, table in module.tables.tables : variable => table.name }
}

output "log_group" {
  description = "The function's log group; scripts/logs reads it."
  value       = module.function.log_group.name
}

output "dashboard_url" {
  description = "The dashboard in the AWS console."
  value       = module.observability.dashboard_url
}

output "dns_targets" {
  description = "With custom domains: what each name has to be an alias or a CNAME of."
  value       = merge(module.websocket_api.dns_target, module.http_api.dns_target)
}

output "protected" {
  description = "Whether tables refuse to be deleted; scripts/destroy asks."
  value       = var.protect
}
