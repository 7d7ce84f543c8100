# The cost of a month, if a budget is set: of the resources with the tag Application, which has to be activated as a
# cost allocation tag once per account (Billing, Cost allocation tags).
resource "aws_budgets_budget" "month" {
  count = var.notify.monthly_budget_usd == null ? 0 : 1

  name         = "${var.name}-month"
  budget_type  = "COST"
  limit_amount = tostring(var.notify.monthly_budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  cost_filter {
    name   = "TagKeyValue"
    values = ["user:Application$${var.name}"]
  }

  # The topics must allow budgets.amazonaws.com to publish.
  dynamic "notification" {
    for_each = length(var.notify.topic_arns) == 0 ? {} : { ACTUAL = 80, FORECASTED = 100 }

    content {
      notification_type         = notification.key
      comparison_operator       = "GREATER_THAN"
      threshold                 = notification.value
      threshold_type            = "PERCENTAGE"
      subscriber_sns_topic_arns = var.notify.topic_arns
    }
  }
}
