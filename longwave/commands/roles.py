"""`longwave serve`, `ingest`, `worker`, `origin` and `edge`: the servers.

A setting that is wrong is told before the body of a role is imported, which takes seconds on a slow machine.
"""

from __future__ import annotations

from typing import Annotated

import typer

from longwave.commands.options import (
    Advertise,
    Bus,
    Config,
    DataDir,
    Host,
    Origins,
    Port,
    Redundancy,
    Sisters,
    Storage,
    TlsCert,
    TlsKey,
    given_of,
)

app = typer.Typer()


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    storage: Storage = None,
    bus: Bus = None,
    advertise: Advertise = None,
    origin: Origins = None,
    redundancy: Redundancy = None,
    sister: Sisters = None,
    demo: Annotated[
        bool | None, typer.Option("--demo", help="Keep a room called 'demo' that speaks [LONGWAVE_DEMO].")
    ] = None,
    config: Config = None,
) -> None:
    """Run every role in one process: voices in by WHIP or as PCM, LL-HLS out. Needs no other server.

    With a bus it is one of many.
    """
    given = given_of(locals())
    from longwave.settings import ServeSettings, load_settings

    settings = load_settings(ServeSettings, given)
    from longwave.serve import run_serve

    run_serve(settings)


@app.command()
def ingest(
    host: Host = None,
    port: Port = None,
    bus: Bus = None,
    data_dir: DataDir = None,
    advertise: Advertise = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    storage: Storage = None,
    config: Config = None,
) -> None:
    """Run an ingest: speakers and hosts, by WHIP, PCM and HTTP; mixes takes and writes them to the bus."""
    given = given_of(locals())
    from longwave.settings import IngestRoleSettings, load_settings

    settings = load_settings(IngestRoleSettings, given)
    from longwave.ingest_role import run_ingest

    run_ingest(settings)


@app.command()
def worker(
    bus: Bus = None,
    origin: Origins = None,
    data_dir: DataDir = None,
    redundancy: Redundancy = None,
    storage: Storage = None,
    host: Host = None,
    port: Annotated[
        int | None, typer.Option(help="Port for /healthz, /readyz, /metrics [LONGWAVE_PORT, default none].")
    ] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    config: Config = None,
) -> None:
    """Run a worker: encodes takes from the bus, publishes them to origins, archives them."""
    given = given_of(locals())
    from longwave.settings import WorkerSettings, load_settings

    settings = load_settings(WorkerSettings, given)
    from longwave.worker_role import run_worker

    run_worker(settings)


@app.command()
def origin(
    host: Host = None,
    port: Port = None,
    bus: Bus = None,
    data_dir: DataDir = None,
    advertise: Advertise = None,
    sister: Sisters = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    storage: Storage = None,
    config: Config = None,
) -> None:
    """Run an origin: what CDNs and players talk to, fed by workers over HTTP."""
    given = given_of(locals())
    from longwave.settings import OriginSettings, load_settings

    settings = load_settings(OriginSettings, given)
    from longwave.serve_origin import run_origin

    run_origin(settings)


@app.command()
def edge(
    log: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="An edge's access lines: a file, - for standard input, or syslog://HOST:PORT "
            "[LONGWAVE_LOG, default -].",
        ),
    ] = None,
    log_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK", help="Who may send lines by syslog; may be repeated [LONGWAVE_LOG_FROM]."
        ),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="An origin to tell; may be repeated [LONGWAVE_ORIGIN]."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What this edge is called [LONGWAVE_NAME, default the host's name].")
    ] = None,
    tier: Annotated[
        str | None, typer.Option(help="edge, or cdn: what it is to listeners [LONGWAVE_TIER, default edge].")
    ] = None,
    varnish: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="A Varnish's -n, for its own numbers [LONGWAVE_VARNISH]."),
    ] = None,
    nginx: Annotated[
        str | None,
        typer.Option(metavar="SOCKET", help="Where an nginx's stub_status answers [LONGWAVE_NGINX]."),
    ] = None,
    host: Host = None,
    port: Annotated[
        int | None, typer.Option(help="Port for /healthz and /metrics [LONGWAVE_PORT, default none].")
    ] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    config: Config = None,
) -> None:
    """Count who listens through an edge, and tell origins. infra/edge/run starts it with --count."""
    given = given_of(locals())
    from longwave.settings import EdgeSettings, load_settings

    settings = load_settings(EdgeSettings, given)
    from longwave.edge.role import run_edge

    run_edge(settings)
