output "dashboard_url" {
  description = "URL of the dashboard in the AWS console."
  value = join("", [
    "https://${data.aws_region.current.name}.console.aws.amazonaws.com/cloudwatch/home",
    "?region=${data.aws_region.current.name}#dashboards/dashboard/${aws_cloudwatch_dashboard.chat.dashboard_name}",
  ])
}
