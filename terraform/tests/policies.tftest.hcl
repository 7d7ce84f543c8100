# The rendered policies: plans of the modules on their own, with known names.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "the_function_has_least_privilege" {
  command = plan
  module {
    source = "./modules/function"
  }
  override_resource {
    target          = aws_cloudwatch_log_group.router
    override_during = plan
    values          = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/chat" }
  }
  override_resource {
    target          = aws_sqs_queue.failures
    override_during = plan
    values          = { arn = "arn:aws:sqs:eu-west-1:123456789012:chat-failures" }
  }
  variables {
    name               = "chat"
    zip                = "./main.tf"
    architecture       = "arm64"
    memory_mb          = 256
    concurrency        = -1
    log_retention_days = 30
    environment        = {}
    secrets            = {}
    resources = {
      tables = { for table in [
        "AUDIT_TABLE",
        "BLOCKS_TABLE",
        "CHAT_ROOMS_TABLE",
        "CONNECTIONS_TABLE",
        "FILES_TABLE",
        "INVITES_TABLE",
        "LIMITS_TABLE",
        "MEMBERS_TABLE",
        "MENTIONS_TABLE",
        "MESSAGES_TABLE",
        "PENDING_TABLE",
        "REPORTS_TABLE",
        "REQUESTS_TABLE",
        "REVOKED_TABLE",
        "SUBSCRIPTIONS_TABLE",
        "TICKETS_TABLE",
      ] : table => "arn:aws:dynamodb:eu-west-1:123456789012:table/${table}" }
      bucket      = "arn:aws:s3:::chat-uploads-1"
      connections = "arn:aws:execute-api:eu-west-1:123456789012:abc123/prod"

      review_function = "arn:aws:lambda:eu-west-1:123456789012:function:review"
    }
  }

  assert {
    condition = contains(
      [
        for statement in jsondecode(aws_iam_role_policy.router.policy).Statement :
        statement.Resource if statement.Action == "lambda:InvokeFunction"
      ],
      "arn:aws:lambda:eu-west-1:123456789012:function:review",
    )
    error_message = "The function may not invoke the review function."
  }

  assert {
    condition = alltrue([
      for action in flatten(jsondecode(aws_iam_role_policy.router.policy).Statement[*].Action) :
      !strcontains(action, "*") && !strcontains(action, "Scan")
    ])
    error_message = "An action is a wildcard or a Scan."
  }
  assert {
    condition = flatten([
      for statement in jsondecode(aws_iam_role_policy.router.policy).Statement :
      statement.Resource if statement.Action == "execute-api:ManageConnections"
      ]) == [
      "arn:aws:execute-api:eu-west-1:123456789012:abc123/prod/POST/@connections/*",
      "arn:aws:execute-api:eu-west-1:123456789012:abc123/prod/GET/@connections/*",
      "arn:aws:execute-api:eu-west-1:123456789012:abc123/prod/DELETE/@connections/*",
    ]
    error_message = "execute-api:ManageConnections is not limited to the stage."
  }
  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.router.policy).Statement :
      statement.Action if statement.Resource == "*"
    ] == [["xray:PutTraceSegments", "xray:PutTelemetryRecords"]]
    error_message = "A statement other than that of X-Ray applies to all resources."
  }
  assert {
    condition     = aws_lambda_function.router.dead_letter_config[0].target_arn == aws_sqs_queue.failures.arn
    error_message = "A version of the function has no dead-letter queue."
  }
  assert {
    condition = (
      aws_lambda_function.router.runtime == "provided.al2023"
      && aws_lambda_function.router.architectures == tolist(["arm64"])
    )
    error_message = "The runtime or the architecture does not match the zip."
  }
}

run "the_bucket_requires_tls" {
  command = plan
  module {
    source = "./modules/uploads"
  }
  override_resource {
    target          = aws_s3_bucket.uploads
    override_during = plan
    values          = { id = "chat-uploads-1", arn = "arn:aws:s3:::chat-uploads-1", bucket = "chat-uploads-1" }
  }
  variables {
    name            = "chat"
    function        = { name = "chat", alias = "live", arn = "arn:aws:lambda:eu-west-1:123456789012:function:chat:live" }
    allowed_origins = []
    expiry_days     = 30
    protect         = true
  }

  assert {
    condition = jsondecode(aws_s3_bucket_policy.uploads.policy).Statement == [{
      Sid       = "OnlyOverTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = ["arn:aws:s3:::chat-uploads-1", "arn:aws:s3:::chat-uploads-1/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
    error_message = "The bucket can be reached without TLS."
  }
  assert {
    condition = (
      aws_s3_bucket.uploads.force_destroy == false && length(aws_s3_bucket_cors_configuration.uploads) == 0
    )
    error_message = "A protected bucket can be destroyed with files in it, or allows CORS without allowed_origins."
  }
}
