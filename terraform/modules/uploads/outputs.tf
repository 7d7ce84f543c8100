output "bucket" {
  description = "Name and ARN of the bucket."
  value = {
    name = aws_s3_bucket.uploads.bucket
    arn  = aws_s3_bucket.uploads.arn
  }
}
