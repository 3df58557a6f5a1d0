# The numbers are those of origin/cache_policy.py; tests/unit/test_terraform.py compares them.

# Live playlists, and small JSON that changes: exactly the three delivery directives are in the key.
resource "aws_cloudfront_cache_policy" "playlists" {
  name        = "${var.name}-playlists"
  comment     = "Live playlists: path and delivery directives, for as long as the origin says"
  min_ttl     = 0
  default_ttl = 1
  max_ttl     = 60

  parameters_in_cache_key_and_forwarded_to_origin {
    # The origin's own gzip: Accept-Encoding is made "gzip" or nothing.
    enable_accept_encoding_gzip   = true
    enable_accept_encoding_brotli = false
    cookies_config {
      cookie_behavior = "none"
    }
    headers_config {
      header_behavior = "none"
    }
    query_strings_config {
      query_string_behavior = "whitelist"
      query_strings {
        items = ["_HLS_msn", "_HLS_part", "_HLS_skip"]
      }
    }
  }
}

# Media, replays and feeds: the path alone.
resource "aws_cloudfront_cache_policy" "files" {
  name        = "${var.name}-files"
  comment     = "Media, replays and feeds: the path alone, for as long as the origin says"
  min_ttl     = 0
  default_ttl = 1
  max_ttl     = 31536000

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_gzip   = true
    enable_accept_encoding_brotli = false
    cookies_config {
      cookie_behavior = "none"
    }
    headers_config {
      header_behavior = "none"
    }
    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

# Pages say "no-cache" to browsers, and what CloudFront may do in CDN-Cache-Control, which it does not read.
resource "aws_cloudfront_cache_policy" "pages" {
  name        = "${var.name}-pages"
  comment     = "Pages and what they load: ten seconds here, asked about by browsers"
  min_ttl     = 10
  default_ttl = 10
  max_ttl     = 10

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_gzip   = true
    enable_accept_encoding_brotli = false
    cookies_config {
      cookie_behavior = "none"
    }
    headers_config {
      header_behavior = "none"
    }
    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

# Nothing beside the cache key goes to the origin: Host is the origin's own name, and there are no cookies.
resource "aws_cloudfront_origin_request_policy" "nothing_more" {
  name    = "${var.name}-nothing-more"
  comment = "Beside the cache key only what browsers say for CORS"
  cookies_config {
    cookie_behavior = "none"
  }
  headers_config {
    header_behavior = "whitelist"
    headers {
      items = ["Access-Control-Request-Headers", "Access-Control-Request-Method"]
    }
  }
  query_strings_config {
    query_string_behavior = "none"
  }
}

# CORS is the origin's; what is meant for CDNs ends here.
resource "aws_cloudfront_response_headers_policy" "public" {
  name    = "${var.name}-public"
  comment = "What is meant for CDNs goes no further"
  remove_headers_config {
    items {
      header = "CDN-Cache-Control"
    }
    items {
      header = "Surrogate-Key"
    }
  }
}

# The same for paths that hold a token: a page that loads from them tells nobody where it was.
resource "aws_cloudfront_response_headers_policy" "private" {
  name    = "${var.name}-private"
  comment = "The same, and no Referer with a token in it"
  remove_headers_config {
    items {
      header = "CDN-Cache-Control"
    }
    items {
      header = "Surrogate-Key"
    }
  }
  security_headers_config {
    referrer_policy {
      referrer_policy = "no-referrer"
      override        = true
    }
  }
}

# Replays from the bucket: pages and players of any site may read them (docs/replays.md).
resource "aws_cloudfront_response_headers_policy" "replays" {
  name    = "${var.name}-replays"
  comment = "CORS of the bucket's media"
  cors_config {
    access_control_allow_credentials = false
    origin_override                  = true
    access_control_max_age_sec       = 86400
    access_control_allow_origins {
      items = ["*"]
    }
    access_control_allow_methods {
      items = ["GET", "HEAD"]
    }
    access_control_allow_headers {
      items = ["Range", "If-Range", "If-None-Match"]
    }
    access_control_expose_headers {
      items = ["Accept-Ranges", "Content-Length", "Content-Range", "ETag"]
    }
  }
}
