variable "name" {
  description = "What the bucket's name begins with."
  type        = string
}

variable "function" {
  description = "The function that is told of new objects."
  type = object({
    name = string
    arn  = string
  })
}

variable "allowed_origins" {
  description = "Web pages that may upload and fetch, by their exact origins."
  type        = list(string)
}

variable "expiry_days" {
  description = "After so many days a file is removed: as long as its message is kept."
  type        = number
}

variable "protect" {
  description = "Whether the bucket refuses to be destroyed with files in it."
  type        = bool
}
