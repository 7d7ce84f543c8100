variable "name" {
  description = "What the API is called."
  type        = string
}

variable "stage" {
  description = "The stage, which is the last part of the URL."
  type        = string
}

variable "routes" {
  description = "The routes by their keys, and whether the function's answer goes back to the sender."
  type        = map(object({ answers = bool }))
}

variable "function" {
  description = "The function behind every route."
  type = object({
    name       = string
    invoke_arn = string
  })
}

variable "throttling" {
  description = "Requests per second and at once that the routes take, from all clients together."
  type = object({
    requests_per_second = number
    requests_at_once    = number
  })
}

variable "log_retention_days" {
  description = "For how many days access logs are kept."
  type        = number
}

variable "account_log_role" {
  description = "Whether to set the role that API Gateway writes logs with, in the whole account and region. Without any the stage cannot be made."
  type        = bool
}

variable "domain" {
  description = "A custom domain for this API, and a certificate of this region for it."
  type = object({
    name            = string
    certificate_arn = string
  })
  default = null
}
