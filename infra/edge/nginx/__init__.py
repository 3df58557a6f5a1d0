"""The edge with nginx: its configuration, and how it is started."""
