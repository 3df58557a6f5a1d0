"""`make bench`: what Longwave costs and how quick it is, beside what people would use instead."""
