terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }

  # scripts/terraform-init sets the bucket and the key, which is the name of the deployment.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}
