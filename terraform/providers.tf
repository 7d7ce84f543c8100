# The region and the credentials come from the environment, as with the AWS CLI.
provider "aws" {
  default_tags {
    tags = {
      Application = var.name
    }
  }
}
