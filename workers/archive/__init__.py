"""What is kept of takes: archived while they live, finished, edited, deleted, checked."""
