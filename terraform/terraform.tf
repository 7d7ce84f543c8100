terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }

  # The bucket, and the key, which is the name of the deployment: scripts/terraform-init passes them on.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}
