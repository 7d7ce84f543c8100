terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }

  # Whose bucket it is, each deployment says itself: scripts/deploy passes STATE_BUCKET on.
  backend "s3" {
    key          = "switchboard/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}
