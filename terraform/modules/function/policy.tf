locals {
  # The tables that each DynamoDB action needs. No action scans.
  table_actions = {
    "dynamodb:GetItem" = [
      "CHAT_ROOMS_TABLE",
      "CONNECTIONS_TABLE",
      "FILES_TABLE",
      "INVITES_TABLE",
      "MEMBERS_TABLE",
      "MESSAGES_TABLE",
      "PENDING_TABLE",
      "REQUESTS_TABLE",
      "REVOKED_TABLE",
      "SUBSCRIPTIONS_TABLE",
    ]
    "dynamodb:BatchGetItem" = [
      "BLOCKS_TABLE",
      "CHAT_ROOMS_TABLE",
      "MEMBERS_TABLE",
      "MESSAGES_TABLE",
      "SUBSCRIPTIONS_TABLE",
    ]
    "dynamodb:Query" = [
      "AUDIT_TABLE",
      "BLOCKS_TABLE",
      "INVITES_TABLE",
      "MEMBERS_TABLE",
      "MENTIONS_TABLE",
      "MESSAGES_TABLE",
      "PENDING_TABLE",
      "REPORTS_TABLE",
      "SUBSCRIPTIONS_TABLE",
    ]
    "dynamodb:ConditionCheckItem" = ["MEMBERS_TABLE"]
    "dynamodb:PutItem" = [
      "AUDIT_TABLE",
      "BLOCKS_TABLE",
      "CHAT_ROOMS_TABLE",
      "FILES_TABLE",
      "INVITES_TABLE",
      "MEMBERS_TABLE",
      "MENTIONS_TABLE",
      "MESSAGES_TABLE",
      "PENDING_TABLE",
      "REPORTS_TABLE",
      "REQUESTS_TABLE",
      "TICKETS_TABLE",
    ]
    "dynamodb:UpdateItem" = [
      "AUDIT_TABLE",
      "CHAT_ROOMS_TABLE",
      "CONNECTIONS_TABLE",
      "FILES_TABLE",
      "INVITES_TABLE",
      "LIMITS_TABLE",
      "MEMBERS_TABLE",
      "MESSAGES_TABLE",
      "REQUESTS_TABLE",
      "REVOKED_TABLE",
      "SUBSCRIPTIONS_TABLE",
    ]
    "dynamodb:DeleteItem" = [
      "BLOCKS_TABLE",
      "CONNECTIONS_TABLE",
      "INVITES_TABLE",
      "MEMBERS_TABLE",
      "MENTIONS_TABLE",
      "MESSAGES_TABLE",
      "PENDING_TABLE",
      "TICKETS_TABLE",
    ]
    "dynamodb:BatchWriteItem" = [
      "CONNECTIONS_TABLE",
      "INVITES_TABLE",
      "MEMBERS_TABLE",
      "MENTIONS_TABLE",
      "MESSAGES_TABLE",
      "PENDING_TABLE",
      "REPORTS_TABLE",
      "SUBSCRIPTIONS_TABLE",
    ]
  }
  queried_indexes = {
    CHAT_ROOMS_TABLE = ["byPlace", "byActivity"]
    MEMBERS_TABLE    = ["byRoom"]
  }

  data_statements = [for action, tables in local.table_actions : {
    Effect   = "Allow"
    Action   = action
    Resource = [for table in tables : var.resources.tables[table]]
  }]

  review_statements = [for function in compact([var.resources.review_function]) : {
    Effect   = "Allow"
    Action   = "lambda:InvokeFunction"
    Resource = function
  }]

  other_statements = [
    {
      Effect = "Allow"
      Action = "dynamodb:Query"
      Resource = flatten([
        for table, indexes in local.queried_indexes :
        [for index in indexes : "${var.resources.tables[table]}/index/${index}"]
      ])
    },
    {
      # The function presigns uploads and downloads, so they run with its permissions.
      Effect   = "Allow"
      Action   = ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"]
      Resource = [for folder in ["rooms", "exports"] : "${var.resources.bucket}/${folder}/*"]
    },
    {
      # Without it S3 responds with 403 instead of 404 for an object that does not exist.
      Effect   = "Allow"
      Action   = "s3:ListBucket"
      Resource = var.resources.bucket
    },
    {
      Effect   = "Allow"
      Action   = "execute-api:ManageConnections"
      Resource = [for method in ["POST", "GET", "DELETE"] : "${var.resources.connections}/${method}/@connections/*"]
    },
    {
      # Fan-out to a large room continues in further invocations of the same version. The ARN is spelled out to avoid a
      # dependency cycle.
      Effect = "Allow"
      Action = "lambda:InvokeFunction"
      Resource = join(":", [
        "arn:${data.aws_partition.current.partition}:lambda",
        data.aws_region.current.id,
        data.aws_caller_identity.current.account_id,
        "function:${var.name}:*",
      ])
    },
    {
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.router.arn}:*"
    },
    {
      # X-Ray has no resource-level permissions.
      Effect   = "Allow"
      Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
      Resource = "*"
    },
    {
      Effect   = "Allow"
      Action   = "sqs:SendMessage"
      Resource = aws_sqs_queue.failures.arn
    },
  ]
}

data "aws_partition" "current" {}

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

resource "aws_iam_role" "router" {
  name = "${var.name}-router"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "router" {
  name = "what-the-router-calls"
  role = aws_iam_role.router.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.data_statements, local.other_statements, local.review_statements)
  })
}
