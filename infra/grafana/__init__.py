"""The dashboard as code: `python -m infra.grafana` writes what Grafana reads."""
