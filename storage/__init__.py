"""What is kept: room records and files (filesystem)."""
