output "id" {
  description = "The API's id."
  value       = aws_apigatewayv2_api.websocket.id
}

locals {
  # Of the API and not of the stage, which waits for the function, which waits for this.
  endpoint = "${split("://", aws_apigatewayv2_api.websocket.api_endpoint)[1]}/${var.stage}"
}

output "endpoint" {
  description = "Host and stage without a scheme, never the custom domain: where @connections is."
  value       = local.endpoint
}

output "url" {
  description = "Where clients open their WebSocket."
  value       = "wss://${var.domain == null ? local.endpoint : var.domain.name}"
}

output "stage_arn" {
  description = "The stage's ARN as IAM policies have it."
  value       = "${aws_apigatewayv2_api.websocket.execution_arn}/${var.stage}"
}

output "dns_target" {
  description = "With a custom domain: what its name has to be an alias or a CNAME of."
  value       = { for domain in aws_apigatewayv2_domain_name.custom : domain.domain_name => domain.domain_name_configuration[0].target_domain_name }
}
