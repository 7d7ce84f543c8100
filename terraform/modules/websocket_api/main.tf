resource "aws_apigatewayv2_api" "websocket" {
  name                       = "${var.name}-websocket"
  protocol_type              = "WEBSOCKET"
  route_selection_expression = "$request.body.action"
}

resource "aws_apigatewayv2_integration" "function" {
  api_id           = aws_apigatewayv2_api.websocket.id
  integration_type = "AWS_PROXY"
  # API Gateway always invokes Lambda with POST.
  integration_method = "POST"
  integration_uri    = var.function.invoke_arn
}

resource "aws_apigatewayv2_route" "all" {
  for_each = var.routes

  api_id                              = aws_apigatewayv2_api.websocket.id
  route_key                           = each.key
  target                              = "integrations/${aws_apigatewayv2_integration.function.id}"
  route_response_selection_expression = each.value.answers ? "$default" : null
}

resource "aws_apigatewayv2_route_response" "answer" {
  for_each = { for key, route in var.routes : key => route if route.answers }

  api_id             = aws_apigatewayv2_api.websocket.id
  route_id           = aws_apigatewayv2_route.all[each.key].id
  route_response_key = "$default"
}

resource "aws_apigatewayv2_stage" "clients" {
  api_id      = aws_apigatewayv2_api.websocket.id
  name        = var.stage
  auto_deploy = true

  default_route_settings {
    throttling_rate_limit  = var.throttling.requests_per_second
    throttling_burst_limit = var.throttling.burst_limit
  }

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format = jsonencode({
      request_id          = "$context.requestId"
      lambda_request_id   = "$context.integration.requestId"
      source_ip           = "$context.identity.sourceIp"
      connection_id       = "$context.connectionId"
      event               = "$context.eventType"
      route               = "$context.routeKey"
      status              = "$context.status"
      error               = "$context.error.message"
      integration_status  = "$context.integration.status"
      integration_error   = "$context.integration.error"
      integration_latency = "$context.integration.latency"
      at                  = "$context.requestTimeEpoch"
    })
  }

  # Automatic deployment fails without routes, and would deploy once per added route.
  depends_on = [aws_apigatewayv2_route.all, aws_apigatewayv2_route_response.answer]
}

resource "aws_cloudwatch_log_group" "access" {
  name              = "/aws/apigateway/${var.name}-websocket"
  retention_in_days = var.log_retention_days
}

resource "aws_lambda_permission" "api" {
  statement_id  = "websocket-api"
  action        = "lambda:InvokeFunction"
  function_name = var.function.name
  qualifier     = var.function.alias
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.websocket.execution_arn}/${var.stage}/*"
}

resource "aws_apigatewayv2_domain_name" "custom" {
  count       = var.domain == null ? 0 : 1
  domain_name = var.domain.name

  domain_name_configuration {
    certificate_arn = var.domain.certificate_arn
    endpoint_type   = "REGIONAL"
    security_policy = "TLS_1_2"
  }
}

resource "aws_apigatewayv2_api_mapping" "custom" {
  count       = var.domain == null ? 0 : 1
  api_id      = aws_apigatewayv2_api.websocket.id
  domain_name = aws_apigatewayv2_domain_name.custom[0].id
  stage       = aws_apigatewayv2_stage.clients.id
}
