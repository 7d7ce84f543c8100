variable "name" {
  description = "Name of the API."
  type        = string
}

variable "routes" {
  description = "Routes by route key, a method and a path; authorization is NONE or AWS_IAM."
  type        = map(object({ authorization = string }))
}

variable "function" {
  description = "The function that every route invokes."
  type = object({
    name       = string
    alias      = string
    invoke_arn = string
  })
}

variable "allowed_origins" {
  description = "Exact origins that may send requests (CORS)."
  type        = list(string)
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
