variable "name" {
  description = "What the API is called."
  type        = string
}

variable "routes" {
  description = "The routes by their keys: a method and a path."
  type        = set(string)
}

variable "function" {
  description = "The function behind every route."
  type = object({
    name       = string
    invoke_arn = string
  })
}

variable "allowed_origins" {
  description = "Web pages that may ask, by their exact origins."
  type        = list(string)
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

variable "domain" {
  description = "A custom domain for this API, and a certificate of this region for it."
  type = object({
    name            = string
    certificate_arn = string
  })
  default = null
}
