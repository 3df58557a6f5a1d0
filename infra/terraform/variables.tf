variable "name" {
  description = "What everything here is called; also the first part of the buckets' names, so unique in the world."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,40}$", var.name))
    error_message = "3 to 41 lower-case letters, digits and hyphens."
  }
}

variable "region" {
  description = "Where the bucket lies: near the workers."
  type        = string
}

variable "domain" {
  description = "What listeners call the CDN, such as live.example.net. Origins are told it as LONGWAVE_CDN_URL=https://…"
  type        = string
}

variable "replay_domain" {
  description = "What replays' media is called, such as replays.example.net; empty: no CDN before the storage."
  type        = string
  default     = ""
}

variable "certificate_arn" {
  description = "An ACM certificate in us-east-1 for both names."
  type        = string
}

variable "origin_domain" {
  description = "The name of an origin, or of what balances them, that answers with TLS on port 443."
  type        = string
}

variable "sister_domain" {
  description = "A second origin, which is asked where the first gives 502, 504 or no answer in 15 s; empty: there is none."
  type        = string
  default     = ""
}

variable "shield_region" {
  description = "The region of the origin shield, nearest to the origins: all edges ask through it. Empty: none."
  type        = string
  default     = ""
}

variable "cdn_loop" {
  description = "Value of the CDN-Loop header to origins, by which they do not count CloudFront as a listener."
  type        = string
  default     = "cloudfront"
}

variable "storage_prefix" {
  description = "PREFIX in LONGWAVE_STORAGE=s3://BUCKET/PREFIX, without slashes at its ends; may be empty."
  type        = string
  default     = "longwave"
  validation {
    condition     = !startswith(var.storage_prefix, "/") && !endswith(var.storage_prefix, "/")
    error_message = "Without slashes at its ends."
  }
}

variable "keep_deleted_days" {
  description = "How long the bucket keeps what hosts deleted; 0: not at all, deleted is deleted."
  type        = number
  default     = 0
}

variable "keep_logs_days" {
  description = "How long access logs are kept; 0: none are written."
  type        = number
  default     = 14
}

variable "price_class" {
  description = "Where in the world CloudFront answers."
  type        = string
  default     = "PriceClass_All"
}
