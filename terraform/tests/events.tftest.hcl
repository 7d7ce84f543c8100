# Events for backends: nothing by default, and all of it on one variable.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  package    = { zip = "./main.tf", architecture = "arm64" }
  jwt_secret = "a secret of thirty-two bytes, ok"
}

run "by_default_there_are_neither_streams_nor_a_bus" {
  command = plan

  assert {
    condition     = length(module.events) == 0 && output.event_bus == null
    error_message = "There is a bus although nobody asked for one."
  }
  assert {
    condition     = length(module.tables.streams) == 0
    error_message = "A table has a stream although nobody reads it."
  }
}

run "events_need_one_setting" {
  command = apply
  variables {
    events = {}
  }

  assert {
    condition = toset(keys(module.tables.streams)) == toset([
      "CHAT_ROOMS_TABLE", "MEMBERS_TABLE", "MESSAGES_TABLE", "REPORTS_TABLE",
    ])
    error_message = "Not the tables that the code declares have streams."
  }
  assert {
    condition     = output.event_bus.name == "switchboard" && nonsensitive(length(output.webhook_secrets)) == 0
    error_message = "The bus is missing, or has webhooks that nobody asked for."
  }
}

run "a_webhook_needs_https" {
  command = plan
  variables {
    events = { webhooks = [{ url = "http://backend.example.com", events = ["message.created"] }] }
  }
  expect_failures = [var.events]
}

run "a_webhook_names_its_events" {
  command = plan
  variables {
    events = { webhooks = [{ url = "https://backend.example.com", events = [] }] }
  }
  expect_failures = [var.events]
}

run "records_that_fail_are_tried_for_a_day_and_then_in_the_queue" {
  command = plan
  module {
    source = "./modules/events"
  }
  variables {
    name          = "chat"
    streams       = { MESSAGES_TABLE = "arn:aws:dynamodb:eu-west-1:123456789012:table/chat-Messages/stream/1" }
    function      = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:chat", name = "chat", role = "chat-router" }
    failure_queue = { arn = "arn:aws:sqs:eu-west-1:123456789012:chat-failures", url = "https://sqs.example.com/chat" }
  }

  assert {
    condition = (
      aws_lambda_event_source_mapping.stream["MESSAGES_TABLE"].batch_size == 100
      && aws_lambda_event_source_mapping.stream["MESSAGES_TABLE"].bisect_batch_on_function_error
      && aws_lambda_event_source_mapping.stream["MESSAGES_TABLE"].maximum_record_age_in_seconds == 86400
      && aws_lambda_event_source_mapping.stream["MESSAGES_TABLE"].starting_position == "TRIM_HORIZON"
    )
    error_message = "A batch is not split, or is given up too early."
  }
  assert {
    condition = (
      aws_lambda_event_source_mapping.stream["MESSAGES_TABLE"].destination_config[0].on_failure[0].destination_arn
      == "arn:aws:sqs:eu-west-1:123456789012:chat-failures"
    )
    error_message = "What fails is lost."
  }
}
