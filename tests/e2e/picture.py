"""The picture of the player in the README, from a real run: ``python -m tests.e2e.picture``."""

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.e2e.listener import MAY_PLAY, Listener, chromium
from tests.server import Server

PICTURE = Path(__file__).parents[2] / "docs/images/player.png"
# Enough for the level to have filled the strip.
SECONDS = 9.0


def main() -> None:
    """Play the demo room for a while, and take the picture."""
    with (
        TemporaryDirectory() as directory,
        Server(Path(directory) / "data", "--demo") as server,
        chromium(MAY_PLAY) as browser,
    ):
        page = browser.new_page(viewport={"width": 1000, "height": 600}, color_scheme="dark")
        page.goto(f"{server.url}/listen/demo")
        Listener(page).wait_for_playback(SECONDS)
        page.screenshot(path=PICTURE)


if __name__ == "__main__":
    main()
