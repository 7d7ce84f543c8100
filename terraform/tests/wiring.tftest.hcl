# How the modules are connected, without AWS.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  package    = { zip = "./main.tf" }
  jwt_secret = "a secret of thirty-two bytes, ok"
}

run "defaults" {
  assert {
    condition     = local.environment.AUTH_MODE == "jwt"
    error_message = "The default auth_mode is not jwt."
  }
  assert {
    condition     = local.environment.WEBSOCKET_ENDPOINT == "abc123.execute-api.eu-west-1.amazonaws.com/prod"
    error_message = "WEBSOCKET_ENDPOINT is wrong: ${local.environment.WEBSOCKET_ENDPOINT}"
  }
  assert {
    condition = (
      output.websocket_endpoint == local.environment.WEBSOCKET_ENDPOINT
      && output.websocket_url == "wss://${output.websocket_endpoint}"
    )
    error_message = "The outputs and the function's environment have different endpoints."
  }
  assert {
    condition = (
      local.environment.CHAT_ROOMS_TABLE == "switchboard-ChatRooms"
      && output.table_names.CHAT_ROOMS_TABLE == "switchboard-ChatRooms"
    )
    error_message = "The function's environment has a wrong table name."
  }
  assert {
    condition     = alltrue([for variable in keys(var.contract.tables) : contains(keys(local.environment), variable)])
    error_message = "The function's environment lacks the name of a table."
  }
  assert {
    condition = (
      !contains(keys(local.environment), "JWT_ISSUER") && !contains(keys(local.environment), "JWT_ISSUERS") &&
      !contains(keys(local.environment), "MAX_FILE_BYTES")
    )
    error_message = "An unset variable is passed to the function, instead of its default."
  }
  assert {
    condition     = !contains(keys(local.environment), "JWT_SECRET") && local.secrets.JWT_SECRET == var.jwt_secret
    error_message = "The JWT secret is not among the secrets."
  }
  assert {
    condition     = length(output.dns_targets) == 0
    error_message = "There are custom domains, but none is configured."
  }
}

run "custom_domains_replace_the_urls" {
  variables {
    gateway = {
      stage = "live"
      domains = {
        websocket       = "chat.example.com"
        http            = "rooms.example.com"
        certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/x"
      }
    }
  }
  assert {
    condition     = output.websocket_url == "wss://chat.example.com" && output.http_url == "https://rooms.example.com"
    error_message = "The URLs do not use the custom domains."
  }
  assert {
    condition     = output.websocket_endpoint == "abc123.execute-api.eu-west-1.amazonaws.com/live"
    error_message = "The endpoint of @connections must not be a custom domain."
  }
  assert {
    condition     = local.environment.HTTP_ENDPOINT == "https://rooms.example.com"
    error_message = "The URLs of files do not use the custom domain."
  }
  assert {
    condition     = keys(output.dns_targets) == ["chat.example.com", "rooms.example.com"]
    error_message = "The DNS targets of the custom domains are missing from the outputs."
  }
}

run "restored_tables_have_a_prefix_of_their_own" {
  variables {
    table_prefix = "switchboard-r1"
  }
  assert {
    condition     = local.environment.MESSAGES_TABLE == "switchboard-r1-Messages"
    error_message = "The function does not use the restored tables."
  }
}

run "only_routes_that_answer_have_a_route_response" {
  module {
    source = "./modules/websocket_api"
  }
  variables {
    name               = "chat"
    stage              = "prod"
    routes             = { "$default" = { answers = true }, "$connect" = { answers = false } }
    function           = { name = "chat", alias = "live", invoke_arn = "arn:aws:lambda:eu-west-1:123456789012:function:chat" }
    throttling         = { requests_per_second = 10, burst_limit = 20 }
    log_retention_days = 7
  }
  assert {
    condition     = keys(aws_apigatewayv2_route_response.answer) == ["$default"]
    error_message = "The route responses do not match the routes that answer."
  }
}

run "open_mode_is_opt_in_and_needs_no_secret" {
  variables {
    jwt_secret          = null
    jwt_secret_previous = ""
    chat                = { auth_mode = "open" }
  }
  assert {
    condition     = local.environment.AUTH_MODE == "open" && keys(local.secrets) == ["TICKET_SECRET"]
    error_message = "AUTH_MODE is not open."
  }
}

run "settings_reach_the_function" {
  variables {
    jwt_secret_previous = "another secret of thirty-two byte"
    chat = {
      jwt_issuers = [
        { preset = "cognito:eu-west-1/eu-west-1_AbC", client_id = ["web", "phone"] },
        { issuer = "https://id.example.com", audience = ["chat"], algorithms = ["EdDSA"], roles_claim = "/app/roles" },
      ]
      jwt_issuer            = "https://id.example.com"
      jwt_audience          = "chat"
      jwt_max_age_seconds   = 60
      session_min_seconds   = 60
      limits                = "message=50/s burst 200, live=50"
      lobby                 = false
      add_members           = "direct"
      max_file_bytes        = 5368709120
      allowed_content_types = ["image/png", "audio/*"]
      allowed_origins       = ["https://chat.example.com", "https://app.example.com"]
      review_function       = "arn:aws:lambda:eu-west-1:123456789012:function:review:live"
      review_timeout_ms     = 800
      review_fallback       = "allow"
      message_ttl_days      = 7
    }
  }
  assert {
    condition = alltrue([for name, value in {
      JWT_ISSUERS = jsonencode([
        { preset = "cognito:eu-west-1/eu-west-1_AbC", clientId = ["web", "phone"] },
        { issuer = "https://id.example.com", audience = ["chat"], algorithms = ["EdDSA"], rolesClaim = "/app/roles" },
      ])
      JWT_ISSUER            = "https://id.example.com"
      JWT_AUDIENCE          = "chat"
      JWT_MAX_AGE_SECONDS   = "60"
      SESSION_MIN_SECONDS   = "60"
      LIMITS                = "message=50/s burst 200, live=50"
      LOBBY                 = "off"
      ADD_MEMBERS           = "direct"
      MAX_FILE_BYTES        = "5368709120"
      ALLOWED_CONTENT_TYPES = "image/png,audio/*"
      ALLOWED_ORIGINS       = "https://chat.example.com,https://app.example.com"
      MESSAGE_TTL_DAYS      = "7"
      REVIEW_FUNCTION       = "arn:aws:lambda:eu-west-1:123456789012:function:review:live"
      REVIEW_TIMEOUT_MS     = "800"
      REVIEW_FALLBACK       = "allow"
    } : local.environment[name] == value])
    error_message = "A setting does not reach the function: ${jsonencode(local.environment)}"
  }
  assert {
    condition     = local.secrets.JWT_SECRET_PREVIOUS == var.jwt_secret_previous
    error_message = "The previous secret does not reach the function."
  }
}

run "saved_queries_search_the_log_group_of_the_function" {
  module {
    source = "./modules/observability"
  }
  variables {
    name = "chat"
    metrics = merge(
      { for name in ["ConnectionsGone", "Failures", "LimitsFailed", "PostsFailed", "RateLimited", "Recipients", "Sends",
      "SendsMissed"] : name => { unit = "Count", dimensions = [] } },
      { Duration = { unit = "Milliseconds", dimensions = ["route"] } },
    )
    metrics_namespace = "Switchboard/chat"
    function          = { name = "chat", timeout_seconds = 29 }
    log_group         = "/aws/lambda/chat"
    failure_queue     = "chat-failures"
    websocket_api     = { id = "abc123", stage = "prod", access_log = "/aws/apigateway/chat-websocket" }
    http_api          = { id = "def456", access_log = "/aws/apigateway/chat-http" }
    table_names       = ["chat-Messages", "chat-Files"]
    notify            = { topic_arns = [], monthly_budget_usd = null }
  }
  assert {
    condition = length(aws_cloudwatch_query_definition.saved) == 10 && alltrue([
      for query in aws_cloudwatch_query_definition.saved : query.log_group_names == tolist(["/aws/lambda/chat"])
    ])
    error_message = "Saved queries are missing, or search another log group."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.all["function-duration"].threshold == 23200
    error_message = "The threshold of the alarm on duration is not 80 % of the timeout."
  }
  assert {
    condition = one([
      for query in aws_cloudwatch_metric_alarm.computed["dynamodb-throttles"].metric_query : query.expression
      ]) == join("", [
      "SELECT SUM(ThrottledRequests) FROM \"AWS/DynamoDB\" ",
      "WHERE TableName = 'chat-Files' OR TableName = 'chat-Messages'",
    ])
    error_message = "The alarm on throttled tables does not have the tables."
  }
  assert {
    condition     = length(aws_budgets_budget.month) == 0
    error_message = "There is a budget, although none is set."
  }
  assert {
    condition = alltrue([
      for alarm in values(aws_cloudwatch_metric_alarm.all) :
      strcontains(alarm.alarm_description, "terraform/RUNBOOK.md#${trimprefix(alarm.alarm_name, "chat-")}.")
    ])
    error_message = "The description of an alarm does not name its entry in the runbook."
  }
}
