variable "contract" {
  description = "Routes, tables and metrics, generated from the code into contract.auto.tfvars.json. Do not edit."
  type = object({
    websocket_routes = map(object({ answers = bool }))
    http_routes      = map(object({ authorization = string }))
    tables = map(object({
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
    metrics = map(object({
      unit       = string
      dimensions = list(string)
    }))
  })
}

variable "name" {
  description = "Name of the deployment and prefix of every resource, so that one account can hold several deployments."
  type        = string
  default     = "switchboard"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 24 lowercase letters, digits or '-', start with a letter and not end with '-'."
  }
}

variable "package" {
  description = "Path of the zip from scripts/package, and its architecture: arm64 or x86_64. scripts/deploy sets it."
  type = object({
    zip          = string
    architecture = optional(string, "arm64")
  })

  validation {
    condition     = fileexists(var.package.zip)
    error_message = "The file package.zip does not exist. Run scripts/package, which builds it and prints its path."
  }

  validation {
    condition     = contains(["arm64", "x86_64"], var.package.architecture)
    error_message = "package.architecture must be arm64 or x86_64, as the zip was built."
  }
}

variable "function" {
  description = <<-EOT
    Settings of the Lambda function: memory in MB, reserved concurrency (-1 reserves none), log level, and log
    retention in days.
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
    error_message = "function.concurrency must be at least 1, or -1 to reserve none. 0 would stop the function."
  }

  validation {
    condition     = contains(["error", "warn", "info", "debug"], var.function.log_level)
    error_message = "function.log_level must be error, warn, info or debug."
  }
}

variable "jwt_secret" {
  description = "HS256 secret that signs tokens, at least 32 bytes. The Terraform state stores it in plain text."
  type        = string
  default     = null
  sensitive   = true

  # An empty string counts as unset: a pipeline passes one when it has no secret, as with auth_mode open.
  validation {
    condition     = var.jwt_secret == null ? true : var.jwt_secret == "" || length(var.jwt_secret) >= 32
    error_message = "jwt_secret must have at least 32 bytes. Generate one with: head -c 32 /dev/urandom | base64"
  }

  validation {
    condition     = var.jwt_secret != "test-websocket-chat-nodejs-secret-key-20251216201822"
    error_message = "jwt_secret is published in public documentation. Generate your own."
  }
}

variable "jwt_secret_previous" {
  description = "Previous HS256 secret, accepted during a rotation. The Terraform state stores it in plain text."
  type        = string
  default     = null
  sensitive   = true

  # An empty string counts as unset: a pipeline without the secret passes one.
  validation {
    condition = (
      var.jwt_secret_previous == null ? true :
      var.jwt_secret_previous == "" || length(var.jwt_secret_previous) >= 32
    )
    error_message = "jwt_secret_previous must have at least 32 bytes. Omit it when no rotation is in progress."
  }

  validation {
    condition     = var.jwt_secret_previous != "test-websocket-chat-nodejs-secret-key-20251216201822"
    error_message = "jwt_secret_previous is published in public documentation. Anyone could sign tokens with it."
  }
}

variable "chat" {
  description = <<-EOT
    Settings of the chat. auth_mode "jwt" requires a token signed with jwt_secret or by one of jwt_issuers. For tokens
    signed with jwt_secret: if set, jwt_issuer must equal their iss and jwt_audience must be in their aud.
    jwt_issuers: identity providers (OpenID Connect), each with a preset ("cognito:REGION/POOL", "auth0:DOMAIN",
    "clerk:DOMAIN" or "firebase:PROJECT") or its issuer, and with whom its tokens are for: audience, client_id or azp.
    jwt_max_age_seconds limits the age of a token without exp. auth_mode "open" accepts any user id without a token: use
    it for trials only. session_min_seconds: a connection ends when its token
    expires, but lasts at least this long. message_ttl_days: retention of messages and files.
    limits: "off", or what differs from the default rate limits of a user, such as "message=50/s burst 200, live=50".
    room_idle_seconds: a room with a location closes after this time without a message. lobby: whether the lobby exists.
    add_members: "invite" (the default with jwt) asks users before they are in a room or talk to a stranger; "direct"
    (the default with open) does not, for clients that cannot accept invitations.
    max_file_bytes and allowed_content_types limit uploads. allowed_origins: exact origins of web pages, for CORS of the
    HTTP API and the bucket, and for handshakes of WebSockets. review_function: the ARN of a Lambda function that
    reviews texts in rooms with `review`, waited for up to review_timeout_ms; without an answer review_fallback is
    "deny" or "allow".
  EOT
  type = object({
    auth_mode = optional(string, "jwt")
    jwt_issuers = optional(list(object({
      preset      = optional(string)
      issuer      = optional(string)
      jwks_url    = optional(string)
      audience    = optional(list(string))
      client_id   = optional(list(string))
      azp         = optional(list(string))
      algorithms  = optional(list(string))
      user_claim  = optional(string)
      name_claim  = optional(string)
      roles_claim = optional(string)
    })), [])
    jwt_issuer            = optional(string)
    jwt_audience          = optional(string)
    jwt_max_age_seconds   = optional(number, 86400)
    session_min_seconds   = optional(number, 900)
    message_ttl_days      = optional(number, 30)
    room_idle_seconds     = optional(number, 1800)
    lobby                 = optional(bool, true)
    add_members           = optional(string)
    limits                = optional(string)
    max_file_bytes        = optional(number)
    allowed_content_types = optional(list(string), [])
    allowed_origins       = optional(list(string), [])
    review_function       = optional(string)
    review_timeout_ms     = optional(number)
    review_fallback       = optional(string)
  })
  default = {}

  validation {
    condition = alltrue([for part in split(",", var.chat.limits == null ? "off" : var.chat.limits) : can(regex(
      "^(|off|live=[0-9]+|(frame|message|change|typing|room|invite|addition|upload|connection)=[0-9]+/(s|min|h)( burst.*)?)$",
      trimspace(part),
    ))])
    error_message = "chat.limits must be off or a list such as \"message=50/s burst 200, live=50\"."
  }

  validation {
    condition = var.chat.review_function == null ? true : can(regex(
      "^arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9_-]+)?$", var.chat.review_function
    ))
    error_message = "chat.review_function must be the ARN of a Lambda function, of a version or of an alias."
  }

  validation {
    condition = (
      (var.chat.review_fallback == null ? true : contains(["deny", "allow"], var.chat.review_fallback))
      && (var.chat.review_timeout_ms == null ? true : (
        var.chat.review_timeout_ms >= 1 && var.chat.review_timeout_ms <= 10000
      ))
    )
    error_message = "chat.review_fallback must be deny or allow, and chat.review_timeout_ms 1 to 10000."
  }

  validation {
    condition     = contains(["jwt", "open"], var.chat.auth_mode)
    error_message = "chat.auth_mode must be jwt or open."
  }

  validation {
    condition     = var.chat.add_members == null ? true : contains(["invite", "direct"], var.chat.add_members)
    error_message = "chat.add_members must be invite or direct."
  }

  validation {
    condition = (
      var.chat.auth_mode == "open" || length(var.chat.jwt_issuers) > 0
      || (var.jwt_secret == null ? false : var.jwt_secret != "")
    )
    error_message = join(" ", [
      "chat.auth_mode is jwt, but no secret and no issuer is set: set TF_VAR_jwt_secret to at least 32 bytes,",
      "or chat.jwt_issuers, or chat = { auth_mode = \"open\" }, which requires no token.",
    ])
  }

  validation {
    condition = alltrue([for issuer in var.chat.jwt_issuers : (
      issuer.preset == null ? issuer.issuer != null : issuer.issuer == null && issuer.jwks_url == null && can(regex(
        "^(cognito:[\\w-]+/[\\w-]+|(auth0|clerk):[A-Za-z0-9.-]+|firebase:[a-z0-9-]+)$", issuer.preset
      ))
    )])
    error_message = join(" ", [
      "each of chat.jwt_issuers has either an issuer, or a preset: cognito:REGION/POOL, auth0:DOMAIN, clerk:DOMAIN or",
      "firebase:PROJECT.",
    ])
  }

  validation {
    condition = alltrue([for url in flatten([for one in var.chat.jwt_issuers : [one.issuer, one.jwks_url]]) :
      url == null ? true : can(regex("^https://[^\\s{}*@#]+$", url))
    ])
    error_message = "issuer and jwks_url of chat.jwt_issuers must be https URLs without placeholders."
  }

  validation {
    condition = alltrue([for one in var.chat.jwt_issuers :
      startswith(one.preset == null ? "" : one.preset, "firebase:")
      || length(concat(coalesce(one.audience, []), coalesce(one.client_id, []), coalesce(one.azp, []))) > 0
    ])
    error_message = "each of chat.jwt_issuers needs audience, client_id or azp: whom its tokens are for."
  }

  validation {
    condition = alltrue(flatten([for one in var.chat.jwt_issuers : [
      for algorithm in one.algorithms == null ? ["RS256"] : one.algorithms :
      contains(["RS256", "ES256", "EdDSA"], algorithm)
    ]]))
    error_message = "algorithms of chat.jwt_issuers are RS256, ES256 and EdDSA."
  }

  validation {
    condition = (
      var.chat.message_ttl_days >= 1 && var.chat.message_ttl_days <= 3650
      && floor(var.chat.message_ttl_days) == var.chat.message_ttl_days
    )
    error_message = "chat.message_ttl_days must be a whole number from 1 to 3650."
  }

  validation {
    condition = alltrue([
      for seconds in [var.chat.room_idle_seconds, var.chat.jwt_max_age_seconds] :
      seconds >= 1 && seconds <= 31536000 && floor(seconds) == seconds
    ])
    error_message = "chat.room_idle_seconds and chat.jwt_max_age_seconds must be whole numbers from 1 to 31536000."
  }

  validation {
    condition = (
      var.chat.session_min_seconds == floor(var.chat.session_min_seconds) &&
      var.chat.session_min_seconds >= 1 && var.chat.session_min_seconds <= 7200
    )
    error_message = "chat.session_min_seconds must be a whole number from 1 to 7200."
  }

  validation {
    condition = var.chat.max_file_bytes == null ? true : (
      var.chat.max_file_bytes >= 1 && var.chat.max_file_bytes <= 5368709120
      && floor(var.chat.max_file_bytes) == var.chat.max_file_bytes
    )
    error_message = "chat.max_file_bytes must be a whole number from 1 to 5368709120 (5 GiB), the limit of one S3 PUT."
  }

  validation {
    condition = alltrue([
      for type in var.chat.allowed_content_types : can(regex("^[a-z]+/([a-z0-9.+-]+|[*])$", type))
    ])
    error_message = "Each of chat.allowed_content_types must be a content type, such as image/png or audio/*."
  }

  validation {
    condition = alltrue([
      for origin in var.chat.allowed_origins : can(regex("^https?://[a-z0-9.-]+(:[0-9]+)?$", origin))
    ])
    error_message = join(" ", [
      "Each of chat.allowed_origins must be an exact origin such as https://chat.example.com:",
      "scheme and host, without a path, a trailing '/' or '*'.",
    ])
  }
}

variable "gateway" {
  description = <<-EOT
    Settings of both APIs: the WebSocket API's stage, the rate limit (requests_per_second) and burst limit
    (burst_limit) of each API's routes, and the retention of access logs. The account's quotas limit both APIs together:
    10,000 requests a second with bursts of 5,000, in some regions 2,500 with bursts of 1,250. stage is part of the
    WebSocket URL: another name replaces the stage and closes every connection. domains: one custom domain name for each
    API (they cannot share one) and an ACM certificate of this region that covers both.
  EOT
  type = object({
    stage                     = optional(string, "prod")
    requests_per_second       = optional(number, 1000)
    burst_limit               = optional(number, 1000)
    access_log_retention_days = optional(number, 30)
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
    condition = alltrue([
      for limit in [var.gateway.requests_per_second, var.gateway.burst_limit] : limit >= 1 && floor(limit) == limit
    ])
    error_message = "gateway.requests_per_second and gateway.burst_limit must be whole numbers from 1: 0 rejects all."
  }

  validation {
    condition = (
      var.gateway.domains == null ? true : can(regex("^arn:[a-z-]+:acm:", var.gateway.domains.certificate_arn))
    )
    error_message = "gateway.domains.certificate_arn must be the ARN of an ACM certificate in the same region."
  }

  validation {
    condition     = var.gateway.domains == null ? true : var.gateway.domains.websocket != var.gateway.domains.http
    error_message = "gateway.domains must be two different names: the WebSocket API and the HTTP API cannot share one."
  }
}

variable "events" {
  description = <<-EOT
    Events for backends: everything that is written is put on an EventBridge bus. Null, the default, makes neither a bus
    nor streams.
    - bodies: whether events have what users wrote
    - notifications: whether there is an event for each user without a connection who is to be notified of a message
    - archive_days: how long an archive keeps the events, for replays; null for no archive
    - webhooks: where events are sent: an https URL, and the types of the events, such as "message.created"
  EOT
  type = object({
    bodies        = optional(bool, false)
    notifications = optional(bool, true)
    archive_days  = optional(number)
    webhooks      = optional(list(object({ url = string, events = list(string) })), [])
  })
  default = null

  validation {
    condition     = var.events == null ? true : coalesce(var.events.archive_days, 1) >= 1
    error_message = "events.archive_days must be 1 or more, or null for no archive."
  }
  validation {
    condition = var.events == null ? true : alltrue([
      for webhook in var.events.webhooks : startswith(webhook.url, "https://") && length(webhook.events) > 0
    ])
    error_message = "Each of events.webhooks needs an https url, and at least one type of event."
  }
  validation {
    condition = var.events == null ? true : (
      length(distinct(var.events.webhooks[*].url)) == length(var.events.webhooks)
    )
    error_message = "Each url of events.webhooks must be listed once."
  }
}

variable "alarm_topic_arns" {
  description = "ARNs of SNS topics that are notified when an alarm starts and ends."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.alarm_topic_arns : can(regex("^arn:[a-z-]+:sns:", arn))])
    error_message = "Each of alarm_topic_arns must be the ARN of an SNS topic."
  }
}

variable "monthly_budget_usd" {
  description = <<-EOT
    Cost of a month in US dollars: alarm_topic_arns are notified at 80 % of it, and when 100 % are forecast. The tag
    Application has to be activated as a cost allocation tag of the account, and the topics have to allow
    budgets.amazonaws.com to publish. null: no budget.
  EOT
  type        = number
  default     = null

  validation {
    condition     = var.monthly_budget_usd == null ? true : var.monthly_budget_usd >= 1
    error_message = "monthly_budget_usd must be at least 1, or null for no budget."
  }
}

variable "table_prefix" {
  description = "Prefix of the tables' names, if they are not called after the deployment: after scripts/restore."
  type        = string
  default     = null

  validation {
    condition     = var.table_prefix == null ? true : can(regex("^[a-z][a-z0-9-]{1,62}$", var.table_prefix))
    error_message = "table_prefix must have 2 to 63 lowercase letters, digits or '-', and start with a letter."
  }
}

variable "protect" {
  description = "Whether tables and the bucket are protected from deletion. Apply protect=false before a destroy."
  type        = bool
  default     = true
}
