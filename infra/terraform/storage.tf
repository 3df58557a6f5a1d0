# Where takes are kept: LONGWAVE_STORAGE=s3://BUCKET/PREFIX. Nobody reads it but roles, and CloudFront the media.
resource "aws_s3_bucket" "archive" {
  bucket = "${var.name}-archive"
}

resource "aws_s3_bucket_public_access_block" "archive" {
  bucket                  = aws_s3_bucket.archive.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "archive" {
  bucket = aws_s3_bucket.archive.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "archive" {
  bucket = aws_s3_bucket.archive.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

# Versions bring back what was deleted by mistake, and keep what a host wanted gone: choose the days.
resource "aws_s3_bucket_versioning" "archive" {
  bucket = aws_s3_bucket.archive.id
  versioning_configuration {
    status = var.keep_deleted_days > 0 ? "Enabled" : "Suspended"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "archive" {
  bucket     = aws_s3_bucket.archive.id
  depends_on = [aws_s3_bucket_versioning.archive]

  # A worker that is killed in the middle of a replay.m4a leaves parts that nobody sees and everybody pays for.
  rule {
    id     = "uploads-that-nobody-completed"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
  rule {
    id     = "deleted-is-deleted"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = max(var.keep_deleted_days, 1)
    }
    expiration {
      expired_object_delete_marker = true
    }
  }
}

# CloudFront, of this distribution alone, reads media alone: no records of rooms, no stories.
data "aws_iam_policy_document" "archive" {
  statement {
    sid       = "OnlyByTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.archive.arn, "${aws_s3_bucket.archive.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
  dynamic "statement" {
    for_each = aws_cloudfront_distribution.replays
    content {
      sid     = "ReplaysThroughCloudFront"
      actions = ["s3:GetObject"]
      resources = [
        "${aws_s3_bucket.archive.arn}/${local.prefix}rooms/*/*/replay.m4a",
        "${aws_s3_bucket.archive.arn}/${local.prefix}rooms/*/*/*/*.mp4",
      ]
      principals {
        type        = "Service"
        identifiers = ["cloudfront.amazonaws.com"]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:SourceArn"
        values   = [statement.value.arn]
      }
    }
  }
}

resource "aws_s3_bucket_policy" "archive" {
  bucket     = aws_s3_bucket.archive.id
  policy     = data.aws_iam_policy_document.archive.json
  depends_on = [aws_s3_bucket_public_access_block.archive]
}

# For ingests, workers and `longwave serve`. Conditional writes need no action of their own: If-None-Match goes with
# PutObject, If-Match with PutObject (or DeleteObject) and GetObject; uploads in parts are PutObject too.
data "aws_iam_policy_document" "writer" {
  statement {
    sid       = "Names"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.archive.arn]
  }
  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.archive.arn}/${local.prefix}*"]
  }
}

resource "aws_iam_policy" "writer" {
  name        = "${var.name}-archive-writer"
  description = "Longwave ingests, workers and serve: takes and rooms"
  policy      = data.aws_iam_policy_document.writer.json
}

# For `longwave origin`, which only reads.
data "aws_iam_policy_document" "reader" {
  statement {
    sid       = "Names"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.archive.arn]
  }
  statement {
    sid       = "Objects"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.archive.arn}/${local.prefix}*"]
  }
}

resource "aws_iam_policy" "reader" {
  name        = "${var.name}-archive-reader"
  description = "Longwave origins: replays, feeds and the lobby"
  policy      = data.aws_iam_policy_document.reader.json
}
