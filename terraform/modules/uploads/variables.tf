variable "name" {
  description = "Prefix of the bucket's name."
  type        = string
}

variable "function" {
  description = "The function that S3 notifies of new objects."
  type = object({
    name  = string
    alias = string
    arn   = string
  })
}

variable "allowed_origins" {
  description = "Exact origins that may upload and download (CORS)."
  type        = list(string)
}

variable "expiry_days" {
  description = "Retention of files in days, equal to that of messages."
  type        = number
}

variable "protect" {
  description = "Whether a destroy of a bucket that holds files fails."
  type        = bool
}
