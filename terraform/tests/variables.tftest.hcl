# What is wrong is refused before anything is made, with a sentence.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  package    = { zip = "./main.tf" }
  jwt_secret = "a secret of thirty-two bytes, ok"
}

run "a_token_needs_a_key" {
  command = plan
  variables {
    jwt_secret = null
  }
  expect_failures = [var.chat]
}

# A pipeline passes an empty secret where none is set.
run "an_empty_secret_is_no_secret_for_tokens" {
  command = plan
  variables {
    jwt_secret = ""
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
    condition     = length(local.secrets) == 0
    error_message = "An empty secret reaches the function."
  }
}

run "there_is_no_third_mode" {
  command = plan
  variables {
    chat = { auth_mode = "none" }
  }
  expect_failures = [var.chat]
}

run "a_short_secret_is_refused" {
  command = plan
  variables {
    jwt_secret = "too short"
  }
  expect_failures = [var.jwt_secret]
}

run "a_published_secret_is_refused" {
  command = plan
  variables {
    jwt_secret = "test-websocket-chat-nodejs-secret-key-20251216201822"
  }
  expect_failures = [var.jwt_secret]
}

run "a_short_previous_secret_is_refused" {
  command = plan
  variables {
    jwt_secret_previous = "too short"
  }
  expect_failures = [var.jwt_secret_previous]
}

run "a_zip_that_is_not_there_is_refused" {
  command = plan
  variables {
    package = { zip = "./nothing.zip" }
  }
  expect_failures = [var.package]
}

run "an_architecture_that_lambda_has_not_is_refused" {
  command = plan
  variables {
    package = { zip = "./main.tf", architecture = "riscv" }
  }
  expect_failures = [var.package]
}

run "a_level_of_logging_that_is_none_is_refused" {
  command = plan
  variables {
    function = { log_level = "loud" }
  }
  expect_failures = [var.function]
}

run "a_name_that_s3_does_not_take_is_refused" {
  command = plan
  variables {
    name = "My_Chat"
  }
  expect_failures = [var.name]
}

run "every_origin_is_exact" {
  command = plan
  variables {
    chat = { allowed_origins = ["https://chat.example.com", "https://*.example.com"] }
  }
  expect_failures = [var.chat]
}

run "an_origin_has_no_path" {
  command = plan
  variables {
    chat = { allowed_origins = ["https://chat.example.com/"] }
  }
  expect_failures = [var.chat]
}

run "messages_live_for_a_day_at_least" {
  command = plan
  variables {
    chat = { message_ttl_days = 0 }
  }
  expect_failures = [var.chat]
}

run "nobody_is_locked_out_by_throttling" {
  command = plan
  variables {
    gateway = { requests_per_second = 0 }
  }
  expect_failures = [var.gateway]
}

run "the_two_apis_cannot_share_a_domain" {
  command = plan
  variables {
    gateway = { domains = { websocket = "chat.example.com", http = "chat.example.com", certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/x" } }
  }
  expect_failures = [var.gateway]
}

run "an_alarm_goes_to_a_topic" {
  command = plan
  variables {
    alarm_topic_arns = ["somebody@example.com"]
  }
  expect_failures = [var.alarm_topic_arns]
}

run "a_published_previous_secret_is_refused" {
  command = plan
  variables {
    jwt_secret_previous = "test-websocket-chat-nodejs-secret-key-20251216201822"
  }
  expect_failures = [var.jwt_secret_previous]
}

run "rooms_are_idle_after_a_second_at_least" {
  command = plan
  variables {
    chat = { room_idle_seconds = 0 }
  }
  expect_failures = [var.chat]
}

run "a_token_holds_for_whole_seconds" {
  command = plan
  variables {
    chat = { jwt_max_age_seconds = 0.5 }
  }
  expect_failures = [var.chat]
}

run "a_file_has_no_less_than_a_byte" {
  command = plan
  variables {
    chat = { max_file_bytes = -5 }
  }
  expect_failures = [var.chat]
}

run "a_content_type_has_two_parts" {
  command = plan
  variables {
    chat = { allowed_content_types = ["image/png", "audio/*", "image"] }
  }
  expect_failures = [var.chat]
}

run "a_certificate_is_one_of_acm" {
  command = plan
  variables {
    gateway = { domains = { websocket = "chat.example.com", http = "rooms.example.com", certificate_arn = "chat.pem" } }
  }
  expect_failures = [var.gateway]
}
