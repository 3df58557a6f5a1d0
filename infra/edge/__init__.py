"""Edges: Varnish and nginx with configurations that keep low latency and collapse requests."""
