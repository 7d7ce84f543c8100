# API Gateway has one IAM role per account and region for the logs of REST and WebSocket APIs.
resource "aws_api_gateway_account" "logs" {
  count               = var.account_log_role ? 1 : 0
  cloudwatch_role_arn = aws_iam_role.logs[0].arn
  # Otherwise a deleted role would remain in the account's settings.
  reset_on_delete = true

  depends_on = [aws_iam_role_policy_attachment.logs]
}

resource "aws_iam_role" "logs" {
  count       = var.account_log_role ? 1 : 0
  name_prefix = "${var.name}-gateway-"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "apigateway.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "logs" {
  count      = var.account_log_role ? 1 : 0
  role       = aws_iam_role.logs[0].name
  policy_arn = "${local.managed_policies}/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}

data "aws_partition" "current" {}

locals {
  managed_policies = "arn:${data.aws_partition.current.partition}:iam::aws:policy"
}
