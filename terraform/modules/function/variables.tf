variable "name" {
  description = "What the function is called, and what the names of its role, queue and logs begin with."
  type        = string
}

variable "zip" {
  description = "Path of the zip with the program `bootstrap`."
  type        = string
}

variable "architecture" {
  description = "What the program was built for: arm64 or x86_64."
  type        = string
}

variable "memory_mb" {
  description = "Memory in MB; the share of a processor grows with it."
  type        = number
}

variable "concurrency" {
  description = "Most concurrent invocations, taken out of the account's; -1: no limit of its own."
  type        = number
}

variable "log_retention_days" {
  description = "For how many days logs are kept."
  type        = number
}

variable "environment" {
  description = "The function's environment variables that are no secrets."
  type        = map(string)
}

variable "secrets" {
  description = "The function's environment variables that are secrets. They stand in the state in plain text."
  type        = map(string)
  sensitive   = true
}

variable "resources" {
  description = "ARNs of what the function may use: the tables by its variable for each, the bucket, and the WebSocket API's stage."
  type = object({
    tables      = map(string)
    bucket      = string
    connections = string
  })
}
