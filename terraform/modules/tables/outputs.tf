output "tables" {
  description = "Name and ARN of each table, by the environment variable that names it."
  value = {
    for variable, table in aws_dynamodb_table.catalogue : variable => { name = table.name, arn = table.arn }
  }
}

output "streams" {
  description = "ARN of each stream, by the environment variable that names its table; empty without streams."
  value = {
    for variable, table in aws_dynamodb_table.catalogue : variable => table.stream_arn
    if var.streams && var.tables[variable].stream != null
  }
}
