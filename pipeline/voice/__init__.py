"""What becomes of one speaker's Opus packets: decoded, put in order, in step with the take's clock."""
