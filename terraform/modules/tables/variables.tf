variable "name" {
  description = "Prefix of the tables' names."
  type        = string
}

variable "tables" {
  description = "Tables by the environment variable that names each: name, string keys, TTL attribute, view of its stream and indexes."
  type = map(object({
    name          = string
    partition_key = string
    sort_key      = optional(string)
    ttl           = string
    stream        = optional(string)
    indexes = map(object({
      partition_key = string
      sort_key      = string
      includes      = list(string)
    }))
  }))
}

variable "protect" {
  description = "Whether the tables have deletion protection."
  type        = bool
}

variable "streams" {
  description = "Whether the tables that declare a stream have one."
  type        = bool
  default     = false
}
