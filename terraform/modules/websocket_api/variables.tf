variable "name" {
  description = "Name of the API."
  type        = string
}

variable "stage" {
  description = "Name of the stage, which is the last segment of the URL."
  type        = string
}

variable "routes" {
  description = "Routes by route key, and whether the function's response is sent to the client."
  type        = map(object({ answers = bool }))
}

variable "function" {
  description = "The function that every route invokes."
  type = object({
    name       = string
    alias      = string
    invoke_arn = string
  })
}

variable "throttling" {
  description = "Rate limit and burst limit of the routes, for all clients together."
  type = object({
    requests_per_second = number
    burst_limit         = number
  })
}

variable "log_retention_days" {
  description = "Retention of access logs, in days."
  type        = number
}

variable "domain" {
  description = "Custom domain name of this API, and an ACM certificate of this region for it."
  type = object({
    name            = string
    certificate_arn = string
  })
  default = null
}
