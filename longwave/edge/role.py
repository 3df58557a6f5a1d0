"""`longwave edge`: the process."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import aiohttp
import uvloop

from contracts.errors import UsageError
from contracts.listeners import Tier
from contracts.status import READY, StatusHandlers
from contracts.tokens import TokenGate
from longwave.door import door
from longwave.edge.counter import STEP_SECONDS, EdgeCounter
from longwave.edge.gathering import Gathering
from longwave.edge.metrics import EdgeMetrics
from longwave.edge.programs import Nginx, Varnish, complain_for_ever, look_for_ever
from longwave.edge.receiving import SILENCE_SECONDS, SPREAD_SECONDS, Post, post_of, received
from longwave.edge.sources import gathered
from longwave.edge.telling import Teller
from longwave.listening import leave, listening, stopped
from longwave.logs import configure_logs
from longwave.role_token import edge_token
from longwave.running import running
from longwave.serve_origin import make_app, make_metrics, say

if TYPE_CHECKING:
    from contracts.metrics import Metrics
    from longwave.settings import EdgeSettings


def run_edge(settings: EdgeSettings) -> None:
    """Run until SIGINT or SIGTERM, or until the log is over. Raises UsageError or DependencyError."""
    if not settings.origin:
        raise UsageError("longwave edge needs somebody to tell: --origin http://HOST:PORT")
    if settings.port is not None:
        settings.check_exposure()
    post = post_of(settings)
    configure_logs(settings.log_level, settings.log_format)
    uvloop.run(_run(settings, post))
    leave()


async def _run(settings: EdgeSettings, post: Post | None) -> None:
    metrics = make_metrics()
    edge_metrics = EdgeMetrics(metrics.registry)
    gathering = Gathering()
    how = {} if post is None else {"spread": SPREAD_SECONDS, "silence": SILENCE_SECONDS}
    counter = EdgeCounter(gathering, edge_metrics, Tier[settings.tier.upper()], **how)
    token = edge_token(settings.token_text, settings.token_keys())
    tellers = [Teller(str(url), settings.name, counter.report, token) for url in settings.origin]
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        background, taken = [], ""
        if post is None:
            background = await stack.enter_async_context(gathered(settings.log, gathering))
        else:
            taken = ", whose lines it takes at " + await stack.enter_async_context(received(post, gathering))
        work = [(_step_for_ever(counter), "counter"), (complain_for_ever(edge_metrics.totals), "complaints")]
        work += [(teller.tell_for_ever(session), f"telling {teller.url}") for teller in tellers]
        for program in _programs(settings):
            work.append((look_for_ever(program, edge_metrics.totals), "the edge's own numbers"))
        for each, name in work:
            background.append(await stack.enter_async_context(running(each, name)))
        place = ""
        if settings.port is not None:
            place = " on " + await _listen(stack, settings, metrics, tellers)
        say(f"Longwave counts the listeners of the edge {settings.name}{taken}{place}")
        await stopped(background)


async def _step_for_ever(counter: EdgeCounter) -> None:
    while True:
        counter.step(time.monotonic())
        await asyncio.sleep(STEP_SECONDS)


def _programs(settings: EdgeSettings) -> list[Nginx | Varnish]:
    nginx = [] if settings.nginx is None else [Nginx(settings.nginx)]
    varnish = [] if settings.varnish is None else [Varnish(settings.varnish)]
    return [*nginx, *varnish]


async def _listen(
    stack: AsyncExitStack, settings: EdgeSettings, metrics: Metrics, tellers: list[Teller]
) -> str:
    """Say how it is; its URL."""
    app = make_app(metrics, TokenGate(settings.token_text, settings.token_keys()))

    def degraded() -> list[str]:
        return [
            f"{teller.url} is not told of listeners: {teller.trouble}" for teller in tellers if teller.trouble
        ]

    StatusHandlers(lambda: READY, degraded, metrics.registry).add_routes(app)
    place = stack.enter_context(door(settings))
    return await stack.enter_async_context(listening(app, settings, metrics, place))
