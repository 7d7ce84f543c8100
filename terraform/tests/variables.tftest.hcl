# Invalid values fail the plan with an error message.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  package    = { zip = "./main.tf" }
  jwt_secret = "a secret of thirty-two bytes, ok"
}

run "jwt_mode_requires_a_secret" {
  command = plan
  variables {
    jwt_secret = null
  }
  expect_failures = [var.chat]
}

# A pipeline without the secret passes an empty string.
run "jwt_mode_rejects_an_empty_secret" {
  command = plan
  variables {
    jwt_secret = ""
  }
  expect_failures = [var.chat]
}

run "jwt_mode_needs_no_secret_with_an_issuer" {
  command = plan
  variables {
    jwt_secret = ""
    chat       = { jwt_issuers = [{ preset = "firebase:my-project" }] }
  }
  assert {
    condition     = !contains(keys(local.secrets), "JWT_SECRET")
    error_message = "A secret for tokens reaches the function."
  }
}

run "an_unknown_preset_of_an_issuer_is_rejected" {
  command = plan
  variables {
    chat = { jwt_issuers = [{ preset = "okta:id.example.com", audience = ["chat"] }] }
  }
  expect_failures = [var.chat]
}

run "an_issuer_with_a_preset_and_a_url_is_rejected" {
  command = plan
  variables {
    chat = { jwt_issuers = [{ preset = "firebase:my-project", issuer = "https://id.example.com" }] }
  }
  expect_failures = [var.chat]
}

run "an_issuer_without_a_url_is_rejected" {
  command = plan
  variables {
    chat = { jwt_issuers = [{ audience = ["chat"] }] }
  }
  expect_failures = [var.chat]
}

run "an_issuer_over_http_is_rejected" {
  command = plan
  variables {
    chat = { jwt_issuers = [{ issuer = "http://id.example.com", audience = ["chat"] }] }
  }
  expect_failures = [var.chat]
}

run "a_template_of_issuers_is_rejected" {
  command = plan
  variables {
    chat = { jwt_issuers = [{ issuer = "https://id.example.com/{tenant}", audience = ["chat"] }] }
  }
  expect_failures = [var.chat]
}

run "an_issuer_whose_tokens_may_be_for_anybody_is_rejected" {
  command = plan
  variables {
    chat = { jwt_issuers = [{ preset = "auth0:example.eu.auth0.com" }] }
  }
  expect_failures = [var.chat]
}

run "an_issuer_with_a_shared_secret_is_rejected" {
  command = plan
  variables {
    chat = { jwt_issuers = [{ issuer = "https://id.example.com", audience = ["chat"], algorithms = ["HS256"] }] }
  }
  expect_failures = [var.chat]
}

run "open_mode_accepts_an_empty_secret" {
  command = plan
  variables {
    jwt_secret          = ""
    jwt_secret_previous = ""
    chat                = { auth_mode = "open" }
  }
  assert {
    condition     = keys(local.secrets) == ["TICKET_SECRET"]
    error_message = "An empty secret reaches the function."
  }
}

run "an_unknown_auth_mode_is_rejected" {
  command = plan
  variables {
    chat = { auth_mode = "none" }
  }
  expect_failures = [var.chat]
}

run "a_short_secret_is_rejected" {
  command = plan
  variables {
    jwt_secret = "too short"
  }
  expect_failures = [var.jwt_secret]
}

run "a_published_secret_is_rejected" {
  command = plan
  variables {
    jwt_secret = "test-websocket-chat-nodejs-secret-key-20251216201822"
  }
  expect_failures = [var.jwt_secret]
}

run "a_short_previous_secret_is_rejected" {
  command = plan
  variables {
    jwt_secret_previous = "too short"
  }
  expect_failures = [var.jwt_secret_previous]
}

run "a_missing_zip_is_rejected" {
  command = plan
  variables {
    package = { zip = "./nothing.zip" }
  }
  expect_failures = [var.package]
}

run "an_unsupported_architecture_is_rejected" {
  command = plan
  variables {
    package = { zip = "./main.tf", architecture = "riscv" }
  }
  expect_failures = [var.package]
}

run "an_unknown_log_level_is_rejected" {
  command = plan
  variables {
    function = { log_level = "loud" }
  }
  expect_failures = [var.function]
}

run "a_name_that_s3_does_not_allow_is_rejected" {
  command = plan
  variables {
    name = "My_Chat"
  }
  expect_failures = [var.name]
}

run "a_wildcard_origin_is_rejected" {
  command = plan
  variables {
    chat = { allowed_origins = ["https://chat.example.com", "https://*.example.com"] }
  }
  expect_failures = [var.chat]
}

run "an_origin_with_a_path_is_rejected" {
  command = plan
  variables {
    chat = { allowed_origins = ["https://chat.example.com/"] }
  }
  expect_failures = [var.chat]
}

run "message_ttl_days_is_at_least_1" {
  command = plan
  variables {
    chat = { message_ttl_days = 0 }
  }
  expect_failures = [var.chat]
}

run "throttling_limits_are_at_least_1" {
  command = plan
  variables {
    gateway = { requests_per_second = 0 }
  }
  expect_failures = [var.gateway]
}

run "the_two_apis_cannot_share_a_domain" {
  command = plan
  variables {
    gateway = { domains = {
      websocket       = "chat.example.com"
      http            = "chat.example.com"
      certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/x"
    } }
  }
  expect_failures = [var.gateway]
}

run "an_alarm_target_must_be_an_sns_topic" {
  command = plan
  variables {
    alarm_topic_arns = ["somebody@example.com"]
  }
  expect_failures = [var.alarm_topic_arns]
}

run "a_published_previous_secret_is_rejected" {
  command = plan
  variables {
    jwt_secret_previous = "test-websocket-chat-nodejs-secret-key-20251216201822"
  }
  expect_failures = [var.jwt_secret_previous]
}

run "room_idle_seconds_is_at_least_1" {
  command = plan
  variables {
    chat = { room_idle_seconds = 0 }
  }
  expect_failures = [var.chat]
}

run "jwt_max_age_seconds_is_a_whole_number" {
  command = plan
  variables {
    chat = { jwt_max_age_seconds = 0.5 }
  }
  expect_failures = [var.chat]
}

run "session_min_seconds_is_at_most_two_hours" {
  command = plan
  variables {
    chat = { session_min_seconds = 7201 }
  }
  expect_failures = [var.chat]
}

run "a_limit_of_an_unknown_class_is_rejected" {
  command = plan
  variables {
    chat = { limits = "messages=5/s" }
  }
  expect_failures = [var.chat]
}

run "max_file_bytes_is_at_least_1" {
  command = plan
  variables {
    chat = { max_file_bytes = -5 }
  }
  expect_failures = [var.chat]
}

run "a_content_type_without_a_subtype_is_rejected" {
  command = plan
  variables {
    chat = { allowed_content_types = ["image/png", "audio/*", "image"] }
  }
  expect_failures = [var.chat]
}

run "a_certificate_must_be_in_acm" {
  command = plan
  variables {
    gateway = { domains = { websocket = "chat.example.com", http = "rooms.example.com", certificate_arn = "chat.pem" } }
  }
  expect_failures = [var.gateway]
}
