# How the modules hang together, without any AWS.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  package    = { zip = "./main.tf" }
  jwt_secret = "a secret of thirty-two bytes, ok"
}

run "by_default" {
  assert {
    condition     = local.environment.AUTH_MODE == "jwt"
    error_message = "Who nobody asked otherwise believes tokens."
  }
  assert {
    condition     = local.environment.WEBSOCKET_ENDPOINT == "abc123.execute-api.eu-west-1.amazonaws.com/prod"
    error_message = "The function is not told where @connections is: ${local.environment.WEBSOCKET_ENDPOINT}"
  }
  assert {
    condition     = output.websocket_endpoint == local.environment.WEBSOCKET_ENDPOINT && output.websocket_url == "wss://${output.websocket_endpoint}"
    error_message = "Clients and the function are told of different places."
  }
  assert {
    condition     = local.environment.CHAT_ROOMS_TABLE == "switchboard-ChatRooms" && output.table_names.CHAT_ROOMS_TABLE == "switchboard-ChatRooms"
    error_message = "The function is not told what its tables are called."
  }
  assert {
    condition     = alltrue([for variable in keys(var.contract.tables) : contains(keys(local.environment), variable)])
    error_message = "The function is not told the names of all tables."
  }
  assert {
    condition     = !contains(keys(local.environment), "JWT_ISSUER") && !contains(keys(local.environment), "MAX_FILE_BYTES")
    error_message = "What is not set is not left to the function."
  }
  assert {
    condition     = !contains(keys(local.environment), "JWT_SECRET") && local.secrets.JWT_SECRET == var.jwt_secret
    error_message = "The secret is not where secrets are."
  }
  assert {
    condition     = length(output.dns_targets) == 0
    error_message = "There are domains that nobody asked for."
  }
}

run "with_domains_of_ones_own" {
  variables {
    gateway = {
      stage   = "live"
      domains = { websocket = "chat.example.com", http = "rooms.example.com", certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/x" }
    }
  }
  assert {
    condition     = output.websocket_url == "wss://chat.example.com" && output.http_url == "https://rooms.example.com"
    error_message = "Clients are not told of the domains."
  }
  assert {
    condition     = output.websocket_endpoint == "abc123.execute-api.eu-west-1.amazonaws.com/live"
    error_message = "@connections is never at a custom domain."
  }
  assert {
    condition     = local.environment.HTTP_ENDPOINT == "https://rooms.example.com"
    error_message = "The addresses of files do not have the domain."
  }
  assert {
    condition     = keys(output.dns_targets) == ["chat.example.com", "rooms.example.com"]
    error_message = "Nobody is told what the names have to be aliases of."
  }
}

run "an_account_that_has_its_role_keeps_it" {
  module {
    source = "./modules/websocket_api"
  }
  variables {
    name               = "chat"
    stage              = "prod"
    routes             = { "$default" = { answers = true }, "$connect" = { answers = false } }
    function           = { name = "chat", invoke_arn = "arn:aws:lambda:eu-west-1:123456789012:function:chat" }
    throttling         = { requests_per_second = 10, requests_at_once = 20 }
    log_retention_days = 7
    account_log_role   = false
  }
  assert {
    condition     = length(aws_api_gateway_account.logs) == 0 && length(aws_iam_role.logs) == 0
    error_message = "The account's role for logs is set although it was not to be."
  }
  assert {
    condition     = keys(aws_apigatewayv2_route_response.answer) == ["$default"]
    error_message = "There are answers where the function gives none, or none where it gives one."
  }
}

run "open_is_asked_for_by_name_and_needs_no_key" {
  variables {
    jwt_secret          = null
    jwt_secret_previous = ""
    chat                = { auth_mode = "open" }
  }
  assert {
    condition     = local.environment.AUTH_MODE == "open" && length(local.secrets) == 0
    error_message = "Asked for open, the function is not told so."
  }
}

run "settings_reach_the_function" {
  variables {
    jwt_secret_previous = "another secret of thirty-two byte"
    chat = {
      jwt_issuer = "https://id.example.com", jwt_audience = "chat", jwt_max_age_seconds = 60, lobby = false, max_file_bytes = 5368709120, allowed_content_types = ["image/png", "audio/*"], message_ttl_days = 7
    }
  }
  assert {
    condition = alltrue([for name, value in {
      JWT_ISSUER            = "https://id.example.com"
      JWT_AUDIENCE          = "chat"
      JWT_MAX_AGE_SECONDS   = "60"
      LOBBY                 = "off"
      MAX_FILE_BYTES        = "5368709120"
      ALLOWED_CONTENT_TYPES = "image/png,audio/*"
      MESSAGE_TTL_DAYS      = "7"
    } : local.environment[name] == value])
    error_message = "A setting does not reach the function: ${jsonencode(local.environment)}"
  }
  assert {
    condition     = local.secrets.JWT_SECRET_PREVIOUS == var.jwt_secret_previous
    error_message = "The previous secret does not reach the function."
  }
}

run "the_saved_queries_ask_the_function_s_log" {
  module {
    source = "./modules/observability"
  }
  variables {
    name              = "chat"
    metrics           = { Failures = { unit = "Count", dimensions = [] }, Duration = { unit = "Milliseconds", dimensions = ["route"] } }
    metrics_namespace = "Switchboard/chat"
    function          = { name = "chat", timeout_seconds = 29 }
    log_group         = "/aws/lambda/chat"
    failure_queue     = "chat-failures"
    websocket_api     = { id = "abc123", stage = "prod" }
    http_api          = { id = "def456" }
    alarm_topic_arns  = []
  }
  assert {
    condition     = length(aws_cloudwatch_query_definition.saved) == 7 && alltrue([for query in aws_cloudwatch_query_definition.saved : query.log_group_names == tolist(["/aws/lambda/chat"])])
    error_message = "Saved queries are missing, or ask another log."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.all["function-duration"].threshold == 23200
    error_message = "The alarm on the duration is not near the timeout."
  }
}
