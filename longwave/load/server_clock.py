"""What the clock of a server says, as far as its answers tell."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime


class ServerClock:
    """The wall clock of the server, from the monotonic clock here.

    On one machine (`same`) it is the clock here. Else it is found from `Date` (RFC 9110 6.6.1). That says
    whole seconds, and is old where a cache answers; but the server's clock is never behind what an answer
    says, so the answer that says most is right, but for its way here and for how long after a full second it
    was made. With a few answers a second that is some 50 ms after a minute: so much too small are distances.
    """

    def __init__(self, *, same: bool) -> None:
        self._same = same
        self.ahead = time.time() - time.monotonic()
        self._told = b""
        self._observed = False

    def observe(self, date: bytes, now: float) -> None:
        """An answer with this `Date` came at `now` (monotonic)."""
        if self._same or not date or date == self._told:
            return
        self._told = date
        try:
            said = parsedate_to_datetime(date.decode("ascii")).timestamp()
        except ValueError:
            return
        if not self._observed or said - now > self.ahead:
            self._observed, self.ahead = True, said - now
