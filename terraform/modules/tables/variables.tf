variable "name" {
  description = "What the names of the tables begin with."
  type        = string
}

variable "tables" {
  description = "The tables by the function's variable for each: name, keys (all of them strings), TTL attribute and indexes."
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
  description = "Whether the tables refuse to be deleted."
  type        = bool
}
