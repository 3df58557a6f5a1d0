"""What each role is told: its groups of settings, and what only it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AnyHttpUrl, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from contracts.errors import UsageError
from longwave.settings.groups import (
    BusSettings,
    EncoderSettings,
    HttpSettings,
    SpeakerSettings,
    StorageSettings,
    WindowSettings,
)
from workers.whip.settings import WhipSettings


class OriginSettings(HttpSettings, StorageSettings, BusSettings, WindowSettings):
    """`longwave origin`: what CDNs and players talk to, fed by workers over HTTP."""

    sister: Annotated[tuple[AnyHttpUrl, ...], NoDecode] = Field(
        (), description="origins that this one fills its window from, beside those that the bus knows"
    )

    @field_validator("sister", mode="before")
    @classmethod
    def _sisters(cls, value: object) -> object:
        return tuple(url for url in value.split(",") if url) if isinstance(value, str) else value


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


class ServeSettings(OriginSettings, IngestRoleSettings, EncodingSettings):  # type: ignore[misc] # pydantic's plugin
    """`longwave serve`: every role in one process. Without a bus it needs no other server."""

    demo: bool = Field(default=False, description="keep a room called 'demo' that speaks")


ROLES: Final[Mapping[str, type[BaseSettings]]] = {
    "serve": ServeSettings,
    "ingest": IngestRoleSettings,
    "worker": WorkerSettings,
    "origin": OriginSettings,
}
"""The roles by the commands that run them."""


def _check_bus(settings: BusSettings, role: str) -> None:
    if not settings.bus:
        raise UsageError(
            f"longwave {role} needs a bus: --bus redis://HOST:PORT (one process alone: longwave serve)"
        )
