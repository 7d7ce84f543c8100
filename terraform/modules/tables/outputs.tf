output "tables" {
  description = "Name and ARN of each table, by the function's variable for it."
  value       = { for variable, table in aws_dynamodb_table.catalogue : variable => { name = table.name, arn = table.arn } }
}
