"""What each role is told: its groups of settings, and what only it has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from socket import gethostname
from typing import Final, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from contracts.errors import BadRequest, UsageError
from contracts.listeners import check_edge
from longwave.settings.media import EncoderSettings, SpeakerSettings, WindowSettings
from longwave.settings.server import HttpSettings
from longwave.settings.shared import BusSettings, StorageSettings
from longwave.settings.values import Networks, Secret, Urls
from workers.whip.settings import WhipSettings

_LOG_SECRET: Final = re.compile(r"[!-~]{16,128}")


class OriginSettings(HttpSettings, StorageSettings, BusSettings, WindowSettings):
    """`longwave origin`: what CDNs and players talk to, fed by workers over HTTP."""

    sister: Urls = Field(
        (), description="origins that this one fills its window from, beside those that the bus knows"
    )


class IngestRoleSettings(HttpSettings, StorageSettings, BusSettings, SpeakerSettings):
    """`longwave ingest`: speakers and hosts; mixes takes and writes them to the bus."""

    def whip(self) -> WhipSettings:
        """What WebRTC needs. Pages of other sites may send only where a token tells who they are."""
        return WhipSettings(
            host=self.host,
            address=self.whip_address,
            udp_ports=self.whip_udp_ports,
            ice_servers=self.ice_servers,
            other_sites=self.token is not None or self.keys is not None,
        )

    def check_bus(self) -> None:
        """Raises UsageError where there is none: an ingest alone would have nobody to give its takes to."""
        _check_bus(self, "ingest")


class EncodingSettings(StorageSettings, EncoderSettings):
    """What every role that encodes needs."""


class WorkerSettings(HttpSettings, BusSettings, EncodingSettings):
    """`longwave worker`: encodes takes, publishes them to origins, archives them."""

    port: int | None = Field(
        None, ge=0, le=65535, description="port for /healthz, /readyz and /metrics; default: none"
    )

    def check_bus(self) -> None:
        """Raises UsageError where there is none: there would be nothing to encode."""
        _check_bus(self, "worker")


class EdgeSettings(HttpSettings):
    """`longwave edge`: counts who listens through an edge, and tells origins."""

    log: str = Field(
        "-",
        description="where an edge's access lines are: a file, - for standard input, or syslog://HOST:PORT",
    )
    log_secret: Secret = Field(None, description="what stands before lw1 in lines that come by syslog")
    log_from: Networks = Field((), description="addresses and networks that send lines by syslog")
    origin: Urls = Field((), description="origins that are told how many listen")
    name: str = Field(default_factory=gethostname, description="what this edge is called there")
    tier: Literal["edge", "cdn"] = Field("edge", description="what it is to listeners: edge or cdn")
    varnish: str | None = Field(None, description="working directory of a Varnish, for its own numbers")
    nginx: str | None = Field(None, description="socket of an nginx's stub_status, for its own numbers")
    port: int | None = Field(
        None, ge=0, le=65535, description="port for /healthz and /metrics; default: none"
    )

    @field_validator("log_secret")
    @classmethod
    def _a_word(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not _LOG_SECRET.fullmatch(secret.get_secret_value()):
            raise ValueError("16 to 128 printable ASCII characters without spaces")
        return secret

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return check_edge(name)
        except BadRequest as error:
            raise ValueError(error.message) from None


class ServeSettings(OriginSettings, IngestRoleSettings, EncodingSettings):  # type: ignore[misc] # pydantic's plugin
    """`longwave serve`: every role in one process. Without a bus it needs no other server."""

    demo: bool = Field(default=False, description="keep a room called 'demo' that speaks")


ROLES: Final[Mapping[str, type[BaseSettings]]] = {
    "serve": ServeSettings,
    "ingest": IngestRoleSettings,
    "worker": WorkerSettings,
    "origin": OriginSettings,
    "edge": EdgeSettings,
}
"""The roles by the commands that run them."""


def _check_bus(settings: BusSettings, role: str) -> None:
    if not settings.bus:
        raise UsageError(
            f"longwave {role} needs a bus: --bus redis://HOST:PORT (one process alone: longwave serve)"
        )
