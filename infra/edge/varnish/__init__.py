"""A Varnish edge: for low latency, and for everything else too."""
