variable "name" {
  description = "Prefix of the tables' names."
  type        = string
}

variable "tables" {
  description = "Tables by the environment variable that names each: name, string keys, TTL attribute and indexes."
  type = map(object({
    name          = string
    partition_key = string
    sort_key      = optional(string)
    ttl           = string
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
