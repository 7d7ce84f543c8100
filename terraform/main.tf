locals {
  # Unset values fall back to the function's defaults.
  environment = { for name, value in merge(
    { for variable, table in module.tables.tables : variable => table.name },
    {
      WEBSOCKET_ENDPOINT    = module.websocket_api.endpoint
      HTTP_ENDPOINT         = module.http_api.url
      UPLOADS_BUCKET        = module.uploads.bucket.name
      AUTH_MODE             = var.chat.auth_mode
      JWT_ISSUERS           = local.jwt_issuers
      JWT_ISSUER            = var.chat.jwt_issuer
      JWT_AUDIENCE          = var.chat.jwt_audience
      JWT_MAX_AGE_SECONDS   = tostring(var.chat.jwt_max_age_seconds)
      ADD_MEMBERS           = var.chat.add_members
      SESSION_MIN_SECONDS   = tostring(var.chat.session_min_seconds)
      LOBBY                 = var.chat.lobby ? "on" : "off"
      MESSAGE_TTL_DAYS      = tostring(var.chat.message_ttl_days)
      ROOM_IDLE_SECONDS     = tostring(var.chat.room_idle_seconds)
      MAX_FILE_BYTES        = var.chat.max_file_bytes == null ? null : format("%d", var.chat.max_file_bytes)
      LIMITS                = var.chat.limits
      ALLOWED_ORIGINS       = join(",", var.chat.allowed_origins)
      ALLOWED_CONTENT_TYPES = join(",", var.chat.allowed_content_types)
      REVIEW_FUNCTION       = var.chat.review_function
      REVIEW_TIMEOUT_MS     = tostring(var.chat.review_timeout_ms)
      REVIEW_FALLBACK       = var.chat.review_fallback
      LOG_LEVEL             = var.function.log_level
      METRICS_NAMESPACE     = local.metrics_namespace
      EVENT_BUS             = local.has_events ? var.name : null
      EVENT_BODIES          = local.has_events ? (var.events.bodies ? "on" : "off") : null
      EVENT_NOTIFICATIONS   = local.has_events ? (var.events.notifications ? "on" : "off") : null
    },
  ) : name => value if value != null && value != "" }

  jwt_issuers = length(var.chat.jwt_issuers) == 0 ? null : jsonencode([for issuer in var.chat.jwt_issuers : {
    for name, value in {
      preset     = issuer.preset
      issuer     = issuer.issuer
      jwksUrl    = issuer.jwks_url
      audience   = issuer.audience
      clientId   = issuer.client_id
      azp        = issuer.azp
      algorithms = issuer.algorithms
      userClaim  = issuer.user_claim
      nameClaim  = issuer.name_claim
      rolesClaim = issuer.roles_claim
    } : name => value if value != null
  }])

  # Each value is sensitive, the map is not: a plan shows all other variables of the function. Whether a secret is set is
  # no secret.
  secrets = merge(
    { for name, value in {
      JWT_SECRET          = var.jwt_secret
      JWT_SECRET_PREVIOUS = var.jwt_secret_previous
    } : name => value if nonsensitive(value != null && value != "") },
    {
      TICKET_SECRET = sensitive(terraform_data.ticket_secret.output)
    },
  )

  metrics_namespace = "Switchboard/${var.name}"
  has_events        = var.events != null
}

# The secret that signs links to files: generated once, and kept in the state.
resource "terraform_data" "ticket_secret" {
  input = sensitive("${uuid()}${uuid()}")

  lifecycle {
    ignore_changes = [input]
  }
}

module "tables" {
  source = "./modules/tables"

  name    = var.table_prefix == null ? var.name : var.table_prefix
  tables  = var.contract.tables
  streams = local.has_events
  protect = var.protect
}

module "uploads" {
  source = "./modules/uploads"

  name            = var.name
  function        = module.function.function
  allowed_origins = var.chat.allowed_origins
  expiry_days     = var.chat.message_ttl_days
  protect         = var.protect
}

module "function" {
  source = "./modules/function"

  name               = var.name
  zip                = var.package.zip
  architecture       = var.package.architecture
  memory_mb          = var.function.memory_mb
  concurrency        = var.function.concurrency
  log_retention_days = var.function.log_retention_days
  environment        = local.environment
  secrets            = local.secrets

  resources = {
    tables      = { for variable, table in module.tables.tables : variable => table.arn }
    bucket      = module.uploads.bucket.arn
    connections = module.websocket_api.stage_arn

    review_function = var.chat.review_function
  }
}

module "websocket_api" {
  source = "./modules/websocket_api"

  name               = var.name
  stage              = var.gateway.stage
  routes             = var.contract.websocket_routes
  function           = module.function.function
  throttling         = local.throttling
  log_retention_days = var.gateway.access_log_retention_days
  domain             = local.domains.websocket
}

module "http_api" {
  source = "./modules/http_api"

  name               = var.name
  routes             = var.contract.http_routes
  function           = module.function.function
  allowed_origins    = var.chat.allowed_origins
  throttling         = local.throttling
  log_retention_days = var.gateway.access_log_retention_days
  domain             = local.domains.http
}

module "schedule" {
  source = "./modules/schedule"

  name     = var.name
  function = module.function.function
}

module "events" {
  source = "./modules/events"
  count  = local.has_events ? 1 : 0

  name          = var.name
  streams       = module.tables.streams
  failure_queue = module.function.failure_queue
  archive_days  = var.events.archive_days
  webhooks      = var.events.webhooks

  function = {
    arn  = module.function.function.arn
    name = module.function.function.name
    role = module.function.role
  }

  alarm_topic_arns = var.alarm_topic_arns
}

module "observability" {
  source = "./modules/observability"

  name              = var.name
  metrics           = var.contract.metrics
  metrics_namespace = local.metrics_namespace
  function          = module.function.function
  log_group         = module.function.log_group.name
  failure_queue     = module.function.failure_queue.name
  table_names       = [for table in module.tables.tables : table.name]
  notify            = { topic_arns = var.alarm_topic_arns, monthly_budget_usd = var.monthly_budget_usd }

  websocket_api = {
    id         = module.websocket_api.id
    stage      = var.gateway.stage
    access_log = module.websocket_api.access_log
  }
  http_api = { id = module.http_api.id, access_log = module.http_api.access_log }
}

locals {
  throttling = {
    requests_per_second = var.gateway.requests_per_second
    burst_limit         = var.gateway.burst_limit
  }

  domains = { for api in ["websocket", "http"] : api => var.gateway.domains == null ? null : {
    name            = var.gateway.domains[api]
    certificate_arn = var.gateway.domains.certificate_arn
  } }
}
