output "access_log" {
  description = "Name of the log group of the access log."
  value       = aws_cloudwatch_log_group.access.name
}

output "id" {
  description = "Id of the API."
  value       = aws_apigatewayv2_api.websocket.id
}

locals {
  # Taken from the API, since the stage depends on the function, which depends on this.
  endpoint = "${split("://", aws_apigatewayv2_api.websocket.api_endpoint)[1]}/${var.stage}"
}

output "endpoint" {
  description = "Host and stage of @connections, without a scheme; never the custom domain."
  value       = local.endpoint
}

output "url" {
  description = "URL of the WebSocket API."
  value       = "wss://${var.domain == null ? local.endpoint : var.domain.name}"
}

output "stage_arn" {
  description = "ARN of the stage, in the form that IAM policies use."
  value       = "${aws_apigatewayv2_api.websocket.execution_arn}/${var.stage}"
}

output "dns_target" {
  description = "With a custom domain: the target of its DNS alias or CNAME record."
  value = {
    for domain in aws_apigatewayv2_domain_name.custom :
    domain.domain_name => domain.domain_name_configuration[0].target_domain_name
  }
}
