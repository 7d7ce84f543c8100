output "id" {
  description = "The API's id."
  value       = aws_apigatewayv2_api.http.id
}

# Of the API and not of the stage, which waits for the function, which waits for this.
output "url" {
  description = "Where clients ask, without a '/' at the end."
  value       = var.domain == null ? aws_apigatewayv2_api.http.api_endpoint : "https://${var.domain.name}"
}

output "dns_target" {
  description = "With a custom domain: what its name has to be an alias or a CNAME of."
  value       = { for domain in aws_apigatewayv2_domain_name.custom : domain.domain_name => domain.domain_name_configuration[0].target_domain_name }
}
