locals {
  # Queries for an incident. Replace the placeholders with ids by hand.
  queries = {
    failures = [
      "filter status >= 500",
      "fields @timestamp, request_id, route, room_id, code, error",
      "sort @timestamp desc",
      "limit 100",
    ]
    failed-deliveries = [
      "filter failed > 0 or message = \"failed to deliver a frame\" or message = \"fan-out incomplete\"",
      "fields @timestamp, request_id, route, room_id, failed, recipients, error",
      "sort @timestamp desc",
      "limit 100",
    ]
    # Lines of Lambda itself: the function wrote none.
    crashes = [
      "filter @message like /Runtime exited|Task timed out|panicked/",
      "fields @timestamp, @requestId, @message",
      "sort @timestamp desc",
      "limit 100",
    ]
    one-request = [
      "filter request_id = \"PUT THE ID HERE\" or lambda_request_id = \"PUT THE ID HERE\"",
      "fields @timestamp, @message",
      "sort @timestamp asc",
    ]
    one-connection = [
      "filter connection_id = \"PUT THE ID HERE\"",
      "fields @timestamp, route, room_id, user_id, status, code, duration_ms",
      "sort @timestamp asc",
    ]
    one-room = [
      "filter room_id = \"PUT THE ID HERE\"",
      "fields @timestamp, route, connection_id, user_id, status, code, recipients, gone",
      "sort @timestamp asc",
    ]
    slow-routes = [
      "filter message = \"invocation\"",
      join(", ", [
        "stats count() as calls",
        "pct(duration_ms, 50) as p50",
        "pct(duration_ms, 99) as p99",
        "max(duration_ms) as most by route",
      ]),
      "sort p99 desc",
    ]
    refusals = [
      "filter status >= 400 and status < 500",
      "stats count() as times by route, code",
      "sort times desc",
    ]
    flooded-rooms = [
      "filter code = \"RATE_LIMITED\"",
      "stats count() as times by room_id, user_id, source_ip",
      "sort times desc",
      "limit 100",
    ]
    gone-connections = [
      "filter gone > 0",
      "stats sum(gone) as gone by bin(5m)",
    ]
  }
}

resource "aws_cloudwatch_query_definition" "saved" {
  for_each = local.queries

  name            = "${var.name}/${each.key}"
  query_string    = join(" | ", each.value)
  log_group_names = [var.log_group]
}
