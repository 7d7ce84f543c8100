output "region" {
  description = "Region of the deployment."
  value       = data.aws_region.current.id
}

output "dashboard_url" {
  description = "URL of the dashboard in the AWS console."
  value = join("", [
    "https://${data.aws_region.current.id}.console.aws.amazon.com/cloudwatch/home",
    "?region=${data.aws_region.current.id}#dashboards/dashboard/${aws_cloudwatch_dashboard.chat.dashboard_name}",
  ])
}
