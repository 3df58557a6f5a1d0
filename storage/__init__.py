"""What is kept: objects on a disk or in S3, the documents of a take, rooms, and files."""
