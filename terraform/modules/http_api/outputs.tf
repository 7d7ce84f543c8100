output "access_log" {
  description = "Name of the log group of the access log."
  value       = aws_cloudwatch_log_group.access.name
}

output "id" {
  description = "Id of the API."
  value       = aws_apigatewayv2_api.http.id
}

# Taken from the API, since the stage depends on the function, which depends on this.
output "url" {
  description = "URL of the HTTP API, without a trailing '/'."
  value       = var.domain == null ? aws_apigatewayv2_api.http.api_endpoint : "https://${var.domain.name}"
}

output "dns_target" {
  description = "With a custom domain: the target of its DNS alias or CNAME record."
  value = {
    for domain in aws_apigatewayv2_domain_name.custom :
    domain.domain_name => domain.domain_name_configuration[0].target_domain_name
  }
}
