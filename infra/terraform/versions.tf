terraform {
  required_version = ">= 1.7"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.46, < 7.0" # cache_tag_config
    }
  }
}

provider "aws" {
  region = var.region
}

# CloudFront's certificates and logs live there, wherever the bucket is.
provider "aws" {
  alias  = "us_east_1"
  region = "us-east-1"
}

locals {
  # The public GET table (docs/http.md): what lies below these is served, and nothing else.
  first_origin  = "origin"
  second_origin = "sister"
  both_origins  = "origins"
  target        = var.sister_domain == "" ? local.first_origin : local.both_origins
  prefix        = var.storage_prefix == "" ? "" : "${var.storage_prefix}/"
}
