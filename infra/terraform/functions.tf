# What CloudFront does itself before it looks into its cache (docs/cdn.md: private rooms).

# Keys of listen tokens by key id: put there with the command in README.md, so that they are in no state file.
resource "aws_cloudfront_key_value_store" "listen_keys" {
  name    = "${var.name}-listen-keys"
  comment = "longwave token --edge-keys"
}

resource "aws_cloudfront_function" "listen" {
  name                         = "${var.name}-listen"
  comment                      = "Lets listeners into private rooms; brings delivery directives into one order"
  runtime                      = "cloudfront-js-2.0"
  publish                      = true
  key_value_store_associations = [aws_cloudfront_key_value_store.listen_keys.arn]
  code                         = file("${path.module}/functions/listen.js")
}

resource "aws_cloudfront_function" "door" {
  name    = "${var.name}-door"
  comment = "404 for all but the lobby"
  runtime = "cloudfront-js-2.0"
  publish = true
  code    = file("${path.module}/functions/door.js")
}
