variable "name" {
  description = "Name of the bus, and prefix of the names of everything else."
  type        = string
}

variable "streams" {
  description = "ARNs of the tables' streams, by the environment variable that names the table."
  type        = map(string)
}

variable "function" {
  description = "The function that puts events on the bus, and the name of its role."
  type = object({
    arn  = string
    name = string
    role = string
  })
}

variable "failure_queue" {
  description = "The queue for records and webhook deliveries that failed after all retries."
  type = object({
    arn = string
    url = string
  })
}

variable "archive_days" {
  description = "How long the archive of the bus keeps events, in days; null for no archive."
  type        = number
  default     = null
}

variable "webhooks" {
  description = "Where events are sent: an https URL, and the types of the events."
  type = list(object({
    url    = string
    events = list(string)
  }))
  default = []
}

variable "alarm_topic_arns" {
  description = "SNS topics that the alarm notifies."
  type        = list(string)
  default     = []
}
