"""Write the dashboard: `python -m infra.grafana`. Nothing but Python's own library is needed."""

from pathlib import Path
from typing import Final

from infra.grafana.model import render
from infra.grafana.rows import ROWS

PATH: Final = Path(__file__).parent / "dashboards/longwave.json"

if __name__ == "__main__":
    PATH.write_text(render(ROWS))
