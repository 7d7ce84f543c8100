variable "name" {
  description = "What the rule's name begins with."
  type        = string
}

variable "function" {
  description = "The function that is called."
  type = object({
    name = string
    arn  = string
  })
}
