# Access logs of the live distribution, without what could hold a token: no path, no query, no Referer. The same fields
# tell latency, hits and errors by edge location.
resource "aws_s3_bucket" "logs" {
  count  = var.keep_logs_days > 0 ? 1 : 0
  bucket = "${var.name}-logs"
}

resource "aws_s3_bucket_public_access_block" "logs" {
  count                   = var.keep_logs_days > 0 ? 1 : 0
  bucket                  = aws_s3_bucket.logs[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  count  = var.keep_logs_days > 0 ? 1 : 0
  bucket = aws_s3_bucket.logs[0].id
  rule {
    id     = "old-logs"
    status = "Enabled"
    filter {}
    expiration {
      days = var.keep_logs_days
    }
  }
}

data "aws_iam_policy_document" "logs" {
  count = var.keep_logs_days > 0 ? 1 : 0
  statement {
    sid       = "CloudFrontWritesLogs"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.logs[0].arn}/*"]
    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudwatch_log_delivery_source.live[0].arn]
    }
  }
}

resource "aws_s3_bucket_policy" "logs" {
  count  = var.keep_logs_days > 0 ? 1 : 0
  bucket = aws_s3_bucket.logs[0].id
  policy = data.aws_iam_policy_document.logs[0].json
}

resource "aws_cloudwatch_log_delivery_source" "live" {
  count        = var.keep_logs_days > 0 ? 1 : 0
  provider     = aws.us_east_1
  name         = "${var.name}-live"
  log_type     = "ACCESS_LOGS"
  resource_arn = aws_cloudfront_distribution.live.arn
}

resource "aws_cloudwatch_log_delivery_destination" "logs" {
  count         = var.keep_logs_days > 0 ? 1 : 0
  provider      = aws.us_east_1
  name          = "${var.name}-logs"
  output_format = "json"
  delivery_destination_configuration {
    destination_resource_arn = aws_s3_bucket.logs[0].arn
  }
}

resource "aws_cloudwatch_log_delivery" "live" {
  count                    = var.keep_logs_days > 0 ? 1 : 0
  provider                 = aws.us_east_1
  delivery_source_name     = aws_cloudwatch_log_delivery_source.live[0].name
  delivery_destination_arn = aws_cloudwatch_log_delivery_destination.logs[0].arn
  record_fields = [
    "date",
    "time",
    "x-edge-location",
    "cs-method",
    "cs-protocol-version",
    "sc-status",
    "sc-bytes",
    "sc-content-type",
    "x-edge-result-type",
    "x-edge-response-result-type",
    "x-edge-detailed-result-type",
    "time-taken",
    "time-to-first-byte",
  ]
  # Else CloudWatch finds that it may not write there, and writes a policy of its own.
  depends_on = [aws_s3_bucket_policy.logs]
}
