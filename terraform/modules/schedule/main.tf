resource "aws_cloudwatch_event_rule" "sweep" {
  name                = "${var.name}-sweep"
  description         = "Close idle rooms and delete stale connections."
  schedule_expression = "rate(10 minutes)"
}

resource "aws_cloudwatch_event_target" "function" {
  rule = aws_cloudwatch_event_rule.sweep.name
  arn  = var.function.arn
}

resource "aws_lambda_permission" "rule" {
  statement_id  = "schedule"
  action        = "lambda:InvokeFunction"
  function_name = var.function.name
  qualifier     = var.function.alias
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.sweep.arn
}
