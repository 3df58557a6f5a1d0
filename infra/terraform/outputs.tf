output "settings" {
  description = "Environment of the roles. Origins need LONGWAVE_PUBLIC_URL too: what listeners call them directly."
  value = merge(
    {
      LONGWAVE_STORAGE   = "s3://${aws_s3_bucket.archive.bucket}/${var.storage_prefix}"
      LONGWAVE_S3_REGION = var.region
      LONGWAVE_CDN_URL   = "https://${var.domain}"
    },
    var.replay_domain == "" ? {} : { LONGWAVE_REPLAY_REDIRECT = "https://${var.replay_domain}" },
  )
}

output "names" {
  description = "What DNS has to point where: CNAME or ALIAS records."
  value = merge(
    { (var.domain) = aws_cloudfront_distribution.live.domain_name },
    { for distribution in aws_cloudfront_distribution.replays : var.replay_domain => distribution.domain_name },
  )
}

output "distributions" {
  description = "For invalidations."
  value = {
    live    = aws_cloudfront_distribution.live.id
    replays = one(aws_cloudfront_distribution.replays[*].id)
  }
}

output "listen_keys_arn" {
  description = "The key value store for the keys of listen tokens."
  value       = aws_cloudfront_key_value_store.listen_keys.arn
}

output "policies" {
  description = "IAM policies to attach to the roles of machines: writer for ingests and workers, reader for origins."
  value = {
    writer = aws_iam_policy.writer.arn
    reader = aws_iam_policy.reader.arn
  }
}
