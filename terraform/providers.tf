# Region and credentials come from the environment, as for the AWS CLI.
provider "aws" {
  default_tags {
    tags = {
      Application = var.name
    }
  }
}
