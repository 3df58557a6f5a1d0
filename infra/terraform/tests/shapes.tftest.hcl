# What becomes of the variables: `terraform init && terraform test`. It asks no account: all that AWS would say is made up.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

mock_provider "aws" {
  alias = "us_east_1"
}

variables {
  name            = "radio"
  region          = "eu-central-1"
  domain          = "live.example.net"
  certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
  origin_domain   = "origin-1.example.net"
}

run "one_origin_and_no_cdn_before_the_storage" {
  assert {
    condition     = length(aws_cloudfront_distribution.live.origin) == 1 && length(aws_cloudfront_distribution.live.origin_group) == 0
    error_message = "one origin needs no group"
  }
  assert {
    condition     = length(aws_cloudfront_distribution.replays) == 0 && keys(output.names) == ["live.example.net"]
    error_message = "without a replay_domain there is no second distribution"
  }
  assert {
    condition     = length(aws_cloudfront_distribution.live.ordered_cache_behavior) == length(local.behaviors)
    error_message = "each address has its behavior"
  }
  assert {
    condition     = length(aws_cloudfront_distribution.live.custom_error_response) == length(local.error_ttls)
    error_message = "each error has its lifetime"
  }
}

run "two_origins_and_a_cdn_before_the_storage" {
  variables {
    sister_domain     = "origin-2.example.net"
    shield_region     = "eu-central-1"
    replay_domain     = "replays.example.net"
    keep_deleted_days = 3
  }
  assert {
    condition     = length(aws_cloudfront_distribution.live.origin) == 2
    error_message = "the sister is an origin"
  }
  assert {
    condition     = one(aws_cloudfront_distribution.live.origin_group).origin_id == aws_cloudfront_distribution.live.default_cache_behavior[0].target_origin_id
    error_message = "behaviors ask the group, which asks the sister"
  }
  assert {
    condition     = toset(one(one(aws_cloudfront_distribution.live.origin_group).failover_criteria).status_codes) == toset([502, 504])
    error_message = "a 503 may have taken 6 s, and the sister would let the same request wait 6 s more"
  }
  assert {
    condition     = alltrue([for origin in aws_cloudfront_distribution.live.origin : one(origin.origin_shield).enabled])
    error_message = "both are asked through the shield"
  }
  assert {
    condition     = output.settings.LONGWAVE_REPLAY_REDIRECT == "https://replays.example.net" && length(output.names) == 2
    error_message = "origins are told where replays' media is"
  }
}

run "as_little_as_may_be" {
  variables {
    storage_prefix = ""
    keep_logs_days = 0
    cdn_loop       = ""
  }
  assert {
    condition     = length(aws_s3_bucket.logs) == 0 && length(aws_cloudwatch_log_delivery.live) == 0
    error_message = "no days, no logs"
  }
  assert {
    condition     = output.settings.LONGWAVE_STORAGE == "s3://${aws_s3_bucket.archive.bucket}/"
    error_message = "the bucket's root is the storage"
  }
  assert {
    condition     = alltrue([for origin in aws_cloudfront_distribution.live.origin : length(origin.custom_header) == 0])
    error_message = "no header is added"
  }
}
