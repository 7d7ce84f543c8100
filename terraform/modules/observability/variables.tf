variable "name" {
  description = "What the dashboard, the alarms and the queries are called or begin with."
  type        = string
}

variable "metrics" {
  description = "The metrics that the function's log lines carry, by their names."
  type = map(object({
    unit       = string
    dimensions = list(string)
  }))
}

variable "metrics_namespace" {
  description = "The namespace of those metrics."
  type        = string
}

variable "function" {
  description = "The function's name, and its timeout in seconds."
  type = object({
    name            = string
    timeout_seconds = number
  })
}

variable "log_group" {
  description = "The function's log group."
  type        = string
}

variable "failure_queue" {
  description = "Name of the queue for events that failed for good."
  type        = string
}

variable "websocket_api" {
  description = "The WebSocket API's id and stage."
  type = object({
    id    = string
    stage = string
  })
}

variable "http_api" {
  description = "The HTTP API's id."
  type = object({
    id = string
  })
}

variable "alarm_topic_arns" {
  description = "SNS topics that hear when an alarm goes off, and when it is over."
  type        = list(string)
}
