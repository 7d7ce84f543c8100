variable "name" {
  description = "Name of the dashboard and prefix of the alarms and queries."
  type        = string
}

variable "metrics" {
  description = "Metrics in the function's log lines, by name."
  type = map(object({
    unit       = string
    dimensions = list(string)
  }))
}

variable "metrics_namespace" {
  description = "CloudWatch namespace of the metrics."
  type        = string
}

variable "function" {
  description = "Name of the function, and its timeout in seconds."
  type = object({
    name            = string
    timeout_seconds = number
  })
}

variable "log_group" {
  description = "Log group of the function."
  type        = string
}

variable "failure_queue" {
  description = "Name of the dead-letter queue."
  type        = string
}

variable "websocket_api" {
  description = "Id, stage and log group of the access log of the WebSocket API."
  type = object({
    id         = string
    stage      = string
    access_log = string
  })
}

variable "http_api" {
  description = "Id and log group of the access log of the HTTP API."
  type = object({
    id         = string
    access_log = string
  })
}

variable "table_names" {
  description = "Names of the tables."
  type        = list(string)
}

variable "notify" {
  description = <<-EOT
    ARNs of SNS topics that are notified when an alarm starts and ends, and of 80 % of the monthly budget in US dollars,
    if there is one.
  EOT
  type = object({
    topic_arns         = list(string)
    monthly_budget_usd = number
  })
}
