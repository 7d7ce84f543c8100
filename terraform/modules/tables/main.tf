resource "aws_dynamodb_table" "catalogue" {
  for_each = var.tables

  name                        = "${var.name}-${each.value.name}"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = each.value.partition_key
  range_key                   = each.value.sort_key
  deletion_protection_enabled = var.protect
  stream_enabled              = var.streams && each.value.stream != null
  stream_view_type            = var.streams ? each.value.stream : null

  dynamic "attribute" {
    for_each = toset(compact(concat(
      [each.value.partition_key, each.value.sort_key],
      flatten([for index in each.value.indexes : [index.partition_key, index.sort_key]]),
    )))

    content {
      name = attribute.value
      type = "S"
    }
  }

  dynamic "global_secondary_index" {
    for_each = each.value.indexes

    content {
      name            = global_secondary_index.key
      hash_key        = global_secondary_index.value.partition_key
      range_key       = global_secondary_index.value.sort_key
      projection_type = length(global_secondary_index.value.includes) > 0 ? "INCLUDE" : "KEYS_ONLY"
      non_key_attributes = (
        length(global_secondary_index.value.includes) > 0 ? global_secondary_index.value.includes : null
      )
    }
  }

  ttl {
    enabled        = true
    attribute_name = each.value.ttl
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}
