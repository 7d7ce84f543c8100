variable "name" {
  description = "Prefix of the rule's name."
  type        = string
}

variable "function" {
  description = "The function that the rule invokes."
  type = object({
    name  = string
    alias = string
    arn   = string
  })
}
