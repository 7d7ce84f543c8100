variable "name" {
  description = "Name of the function, and prefix of the names of its role, queue and log group."
  type        = string
}

variable "zip" {
  description = "Path of the zip that holds the executable `bootstrap`."
  type        = string
}

variable "architecture" {
  description = "Architecture of the executable: arm64 or x86_64."
  type        = string
}

variable "memory_mb" {
  description = "Memory in MB. CPU grows in proportion to it."
  type        = number
}

variable "concurrency" {
  description = "Reserved concurrency; -1 reserves none."
  type        = number
}

variable "log_retention_days" {
  description = "Retention of logs, in days."
  type        = number
}

variable "environment" {
  description = "Environment variables of the function that hold no secrets."
  type        = map(string)
}

variable "secrets" {
  description = "Secret environment variables: each value is sensitive. The Terraform state stores them in plain text."
  type        = map(string)
}

variable "resources" {
  description = "ARNs that the function may use: tables by variable, bucket, WebSocket API stage and review function."
  type = object({
    tables          = map(string)
    bucket          = string
    connections     = string
    review_function = optional(string)
  })
}
