# What listeners get from origins: live, pages, feeds, and replays that are not read from the bucket.
locals {
  # First match wins. The path pattern's * crosses slashes.
  behaviors = [
    { path = "/live/*/index.m3u8", policy = "playlists", code = "listen", headers = "public" },
    { path = "/live/*", policy = "files", code = "", headers = "public" },
    { path = "/p/*/index.m3u8", policy = "playlists", code = "listen", headers = "private" },
    { path = "/p/*.json", policy = "playlists", code = "listen", headers = "private" },
    { path = "/p/*", policy = "files", code = "listen", headers = "private" },
    { path = "/listen/*.json", policy = "playlists", code = "", headers = "public" },
    { path = "/rooms.json", policy = "playlists", code = "", headers = "public" },
    { path = "/replay/*.*", policy = "files", code = "", headers = "public" },
    { path = "/feeds/*", policy = "files", code = "", headers = "public" },
    { path = "/replay/*", policy = "pages", code = "", headers = "public" },
    { path = "/listen/*", policy = "pages", code = "", headers = "public" },
    { path = "/speak/*", policy = "pages", code = "", headers = "public" },
    { path = "/assets/*", policy = "pages", code = "", headers = "public" },
  ]
  policies = {
    playlists = aws_cloudfront_cache_policy.playlists.id
    files     = aws_cloudfront_cache_policy.files.id
    pages     = aws_cloudfront_cache_policy.pages.id
  }
  headers = {
    public  = aws_cloudfront_response_headers_policy.public.id
    private = aws_cloudfront_response_headers_policy.private.id
  }
  functions = {
    listen = aws_cloudfront_function.listen.arn
  }
  # A second where a crowd may meet an error, nothing for refusals. CloudFront's own default is ten seconds: who asks for a
  # part so early that an origin does not hold the request would deny it to all when it has come. 502 and 504 are
  # CloudFront's words for an origin that is away.
  error_ttls = {
    400 = 1
    403 = 0
    404 = 1
    405 = 0
    500 = 1
    502 = 1
    503 = 1
    504 = 1
  }
}

resource "aws_cloudfront_distribution" "live" {
  comment         = "${var.name}: live"
  enabled         = true
  is_ipv6_enabled = true
  aliases         = [var.domain]
  # Low-latency players want HTTP/2 at least: a held request must not stand in the way of the next part.
  http_version = "http2and3"
  price_class  = var.price_class

  # Whatever is of a take names it: one invalidation reaches all of it, also below tokens.
  cache_tag_config {
    header_name = "Surrogate-Key"
  }

  dynamic "origin" {
    for_each = merge(
      { (local.first_origin) = var.origin_domain },
      var.sister_domain == "" ? {} : { (local.second_origin) = var.sister_domain },
    )
    content {
      origin_id           = origin.key
      domain_name         = origin.value
      connection_attempts = 1
      connection_timeout  = 2
      custom_origin_config {
        http_port              = 80
        https_port             = 443
        origin_protocol_policy = "https-only"
        origin_ssl_protocols   = ["TLSv1.2"]
        # A request that waits for a part is answered within 6 s, also where there is none.
        origin_read_timeout = 15
        # Shorter than the origin's own 75 s, so that a connection is never closed under a request.
        origin_keepalive_timeout = 60
      }
      dynamic "custom_header" {
        for_each = var.cdn_loop == "" ? [] : [var.cdn_loop]
        content {
          name  = "CDN-Loop"
          value = custom_header.value
        }
      }
      dynamic "origin_shield" {
        for_each = var.shield_region == "" ? [] : [var.shield_region]
        content {
          enabled              = true
          origin_shield_region = origin_shield.value
        }
      }
    }
  }

  # MSNs, bytes and ETags are equal on both: one may answer for the other at any moment. Never for a 503: an origin says
  # it after 6 s, too, of a room that stands still, and the other would let the same request wait as long again, when
  # players have given up. CloudFront takes a connection that fails for a 503, so what leaves an origin that is off or
  # drains is its name (README.md); 502 and 504 are what such a name answers when nothing is left behind it.
  dynamic "origin_group" {
    for_each = var.sister_domain == "" ? [] : [local.both_origins]
    content {
      origin_id = origin_group.value
      failover_criteria {
        status_codes = [502, 504]
      }
      member {
        origin_id = local.first_origin
      }
      member {
        origin_id = local.second_origin
      }
    }
  }

  dynamic "ordered_cache_behavior" {
    for_each = local.behaviors
    content {
      path_pattern               = ordered_cache_behavior.value.path
      target_origin_id           = local.target
      viewer_protocol_policy     = "redirect-to-https"
      allowed_methods            = ["GET", "HEAD", "OPTIONS"]
      cached_methods             = ["GET", "HEAD", "OPTIONS"]
      compress                   = true
      cache_policy_id            = local.policies[ordered_cache_behavior.value.policy]
      origin_request_policy_id   = aws_cloudfront_origin_request_policy.nothing_more.id
      response_headers_policy_id = local.headers[ordered_cache_behavior.value.headers]
      dynamic "function_association" {
        for_each = ordered_cache_behavior.value.code == "" ? [] : [ordered_cache_behavior.value.code]
        content {
          event_type   = "viewer-request"
          function_arn = local.functions[function_association.value]
        }
      }
    }
  }

  # The lobby at /; for all else the door is shut: /metrics, /publish, /rooms/… are for those inside.
  default_cache_behavior {
    target_origin_id           = local.target
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = ["GET", "HEAD"]
    cached_methods             = ["GET", "HEAD"]
    compress                   = true
    cache_policy_id            = aws_cloudfront_cache_policy.pages.id
    origin_request_policy_id   = aws_cloudfront_origin_request_policy.nothing_more.id
    response_headers_policy_id = aws_cloudfront_response_headers_policy.public.id
    function_association {
      event_type   = "viewer-request"
      function_arn = aws_cloudfront_function.door.arn
    }
  }

  dynamic "custom_error_response" {
    for_each = local.error_ttls
    content {
      error_code            = custom_error_response.key
      error_caching_min_ttl = custom_error_response.value
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
