"""What can be typed after `longwave`: each module declares some commands; their bodies live elsewhere."""
