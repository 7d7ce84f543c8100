output "tables" {
  description = "Name and ARN of each table, by the environment variable that names it."
  value = {
    for variable, table in aws_dynamodb_table.catalogue : variable => { name = table.name, arn = table.arn }
  }
}
