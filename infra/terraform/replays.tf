# Replays' media straight from the bucket: LONGWAVE_REPLAY_REDIRECT=https://REPLAY_DOMAIN. Only with a replay_domain.
resource "aws_cloudfront_origin_access_control" "replays" {
  count                             = var.replay_domain == "" ? 0 : 1
  name                              = "${var.name}-replays"
  description                       = "Signs what CloudFront asks of the bucket"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_distribution" "replays" {
  count           = var.replay_domain == "" ? 0 : 1
  comment         = "${var.name}: replays"
  enabled         = true
  is_ipv6_enabled = true
  aliases         = [var.replay_domain]
  http_version    = "http2and3"
  price_class     = var.price_class

  origin {
    origin_id                = "archive"
    domain_name              = aws_s3_bucket.archive.bucket_regional_domain_name
    origin_path              = var.storage_prefix == "" ? "" : "/${var.storage_prefix}"
    origin_access_control_id = aws_cloudfront_origin_access_control.replays[0].id
  }

  # Objects say max-age=60 themselves: what a host unpublishes or deletes is gone a minute later.
  default_cache_behavior {
    target_origin_id           = "archive"
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = ["GET", "HEAD", "OPTIONS"]
    cached_methods             = ["GET", "HEAD"]
    compress                   = false
    cache_policy_id            = aws_cloudfront_cache_policy.files.id
    response_headers_policy_id = aws_cloudfront_response_headers_policy.replays.id
  }

  # The bucket says 403 for what is not there, because CloudFront may not list it.
  dynamic "custom_error_response" {
    for_each = [403, 404, 500, 502, 503, 504]
    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = 1
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    acm_certificate_arn      = var.certificate_arn
    minimum_protocol_version = "TLSv1.2_2021"
    ssl_support_method       = "sni-only"
  }
}
