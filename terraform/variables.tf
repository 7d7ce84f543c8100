variable "contract" {
  description = "Routes, tables and metrics as the code declares them. contract.auto.tfvars.json sets it; nobody else does."
  type = object({
    websocket_routes = map(object({ answers = bool }))
    http_routes      = set(string)
    tables = map(object({
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
    metrics = map(object({
      unit       = string
      dimensions = list(string)
    }))
  })
}

variable "name" {
  description = "What the deployment is called. Everything that it makes begins with it, so that several fit into one account."
  type        = string
  default     = "switchboard"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 24 small letters, digits or '-', begin with a letter and not end with '-'."
  }
}

variable "package" {
  description = "The zip that scripts/package made, and what it was built for: arm64 or x86_64. scripts/deploy sets it."
  type = object({
    zip          = string
    architecture = optional(string, "arm64")
  })

  validation {
    condition     = fileexists(var.package.zip)
    error_message = "There is no zip at package.zip; scripts/package makes one and prints where it is."
  }

  validation {
    condition     = contains(["arm64", "x86_64"], var.package.architecture)
    error_message = "package.architecture must be arm64 or x86_64: what the zip was built for."
  }
}

variable "function" {
  description = <<-EOT
    The Lambda: its memory in MB, its most concurrent invocations (-1: as many as the account has left), its level of
    logging, and for how many days its log is kept.
  EOT
  type = object({
    memory_mb          = optional(number, 256)
    concurrency        = optional(number, -1)
    log_level          = optional(string, "info")
    log_retention_days = optional(number, 30)
  })
  default = {}

  validation {
    condition     = var.function.memory_mb >= 128 && var.function.memory_mb <= 10240
    error_message = "function.memory_mb must be from 128 to 10240."
  }

  validation {
    condition     = var.function.concurrency == -1 || var.function.concurrency >= 1
    error_message = "function.concurrency must be at least 1, or -1 for no limit of its own: with 0 nothing runs."
  }

  validation {
    condition     = contains(["error", "warn", "info", "debug"], var.function.log_level)
    error_message = "function.log_level must be error, warn, info or debug."
  }
}

variable "jwt_secret" {
  description = "The HS256 secret that tokens are signed with, at least 32 bytes. It stands in the state in plain text."
  type        = string
  default     = null
  sensitive   = true

  # An empty one is none: a pipeline passes that when it has no secret, as with auth_mode open.
  validation {
    condition     = var.jwt_secret == null ? true : var.jwt_secret == "" || length(var.jwt_secret) >= 32
    error_message = "jwt_secret must have at least 32 bytes: head -c 32 /dev/urandom | base64 makes one."
  }

  validation {
    condition     = var.jwt_secret != "test-websocket-chat-nodejs-secret-key-20251216201822"
    error_message = "jwt_secret is one that stands in public documentation; make one of your own."
  }
}

variable "jwt_secret_previous" {
  description = "A second secret that holds as well, while the first is being rotated. It stands in the state in plain text."
  type        = string
  default     = null
  sensitive   = true

  # An empty one is none: that is what a pipeline passes that has not got it.
  validation {
    condition     = var.jwt_secret_previous == null ? true : var.jwt_secret_previous == "" || length(var.jwt_secret_previous) >= 32
    error_message = "jwt_secret_previous must have at least 32 bytes; leave it out when no secret is being rotated."
  }

  validation {
    condition     = var.jwt_secret_previous != "test-websocket-chat-nodejs-secret-key-20251216201822"
    error_message = "jwt_secret_previous is one that stands in public documentation; whoever reads that could sign in as anybody."
  }
}

variable "chat" {
  description = <<-EOT
    What the chat is like. auth_mode jwt believes a token that is signed with jwt_secret (jwt_issuer and jwt_audience are
    what its iss must be and its aud contain, when set; jwt_max_age_seconds is for how long a token without exp holds); open
    believes everybody, for trying out. Then: for how long messages and files are kept, after how long a silent room on the
    map closes, whether there is a lobby, how large a file may be and of which content types, and which web pages may ask
    the HTTP API and the bucket, by their exact origins.
  EOT
  type = object({
    auth_mode             = optional(string, "jwt")
    jwt_issuer            = optional(string)
    jwt_audience          = optional(string)
    jwt_max_age_seconds   = optional(number, 86400)
    message_ttl_days      = optional(number, 30)
    room_idle_seconds     = optional(number, 1800)
    lobby                 = optional(bool, true)
    max_file_bytes        = optional(number)
    allowed_content_types = optional(list(string), [])
    allowed_origins       = optional(list(string), [])
  })
  default = {}

  validation {
    condition     = contains(["jwt", "open"], var.chat.auth_mode)
    error_message = "chat.auth_mode must be jwt or open."
  }

  validation {
    condition     = var.chat.auth_mode == "open" || (var.jwt_secret == null ? false : var.jwt_secret != "")
    error_message = "chat.auth_mode is jwt, and there is no key: set TF_VAR_jwt_secret to a secret of at least 32 bytes, or ask for chat = { auth_mode = \"open\" }, which believes everybody."
  }

  validation {
    condition     = var.chat.message_ttl_days >= 1 && var.chat.message_ttl_days <= 3650 && floor(var.chat.message_ttl_days) == var.chat.message_ttl_days
    error_message = "chat.message_ttl_days must be a whole number from 1 to 3650."
  }

  validation {
    condition     = alltrue([for seconds in [var.chat.room_idle_seconds, var.chat.jwt_max_age_seconds] : seconds >= 1 && seconds <= 31536000 && floor(seconds) == seconds])
    error_message = "chat.room_idle_seconds and chat.jwt_max_age_seconds must be whole numbers from 1 to 31536000, which is a year."
  }

  validation {
    condition     = var.chat.max_file_bytes == null ? true : var.chat.max_file_bytes >= 1 && var.chat.max_file_bytes <= 5368709120 && floor(var.chat.max_file_bytes) == var.chat.max_file_bytes
    error_message = "chat.max_file_bytes must be a whole number from 1 to 5368709120: S3 takes no more in one request."
  }

  validation {
    condition     = alltrue([for type in var.chat.allowed_content_types : can(regex("^[a-z]+/([a-z0-9.+-]+|[*])$", type))])
    error_message = "Each of chat.allowed_content_types must be a content type such as image/png, or a kind of them such as audio/*."
  }

  validation {
    condition     = alltrue([for origin in var.chat.allowed_origins : can(regex("^https?://[a-z0-9.-]+(:[0-9]+)?$", origin))])
    error_message = "Each of chat.allowed_origins must be an exact origin such as https://chat.example.com: a scheme and a host, no path, no '/' at the end, no '*'."
  }
}

variable "gateway" {
  description = <<-EOT
    The two APIs: the WebSocket API's stage, requests per second and at once that the routes of each API take, for how long access logs
    are kept, whether to set the account's role for API Gateway's logs, and custom domains. account_log_role: API Gateway
    writes the access logs of WebSocket APIs with one role for the whole account and region. Without it the stage cannot be
    made. Set it to false where the account has one already, since it would be replaced, and taken away by a destroy.
    domains: one name for each API (they cannot share one) and a certificate in this region that holds for both.
  EOT
  type = object({
    stage                     = optional(string, "prod")
    requests_per_second       = optional(number, 1000)
    requests_at_once          = optional(number, 2000)
    access_log_retention_days = optional(number, 30)
    account_log_role          = optional(bool, true)
    domains = optional(object({
      websocket       = string
      http            = string
      certificate_arn = string
    }))
  })
  default = {}

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,128}$", var.gateway.stage))
    error_message = "gateway.stage must have 1 to 128 letters, digits, '-' or '_'."
  }

  validation {
    condition     = var.gateway.requests_per_second >= 1 && var.gateway.requests_at_once >= 1
    error_message = "gateway.requests_per_second and gateway.requests_at_once must be at least 1: with 0 nobody gets in."
  }

  validation {
    condition     = var.gateway.domains == null ? true : can(regex("^arn:[a-z-]+:acm:", var.gateway.domains.certificate_arn))
    error_message = "gateway.domains.certificate_arn must be the ARN of a certificate in ACM, of the region that is deployed to."
  }

  validation {
    condition     = var.gateway.domains == null ? true : var.gateway.domains.websocket != var.gateway.domains.http
    error_message = "gateway.domains must be two names: API Gateway cannot serve a WebSocket API and an HTTP API under one."
  }
}

variable "alarm_topic_arns" {
  description = "SNS topics that hear when an alarm goes off, and when it is over."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.alarm_topic_arns : can(regex("^arn:[a-z-]+:sns:", arn))])
    error_message = "Each of alarm_topic_arns must be the ARN of an SNS topic."
  }
}

variable "protect" {
  description = "Whether tables refuse to be deleted and the bucket to be emptied. To destroy what is in production, apply protect=false first."
  type        = bool
  default     = true
}
