"""Groups of settings: what belongs together, typed and validated. Roles are made of them."""

from __future__ import annotations

import ipaddress
import re
import ssl
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from contracts.errors import UsageError
from contracts.take import MAX_SPEAKERS_IN_EVENT
from contracts.tokens import DERIVED_KID, Keys, derived_secret, parse_keys
from storage.objects import Objects
from storage.open import open_objects
from storage.s3_options import S3Options
from workers.redis_bus.address import parse_bus
from workers.whip.settings import IceServer, parse_address, parse_ice_servers, parse_udp_ports

_MOST_BUSES: Final = 2
_BETWEEN_URLS: Final = re.compile(r",(?=[a-z+]+://)")


class SecretSettings(BaseSettings):
    """What tokens are checked and signed with."""

    model_config = SettingsConfigDict(env_prefix="LONGWAVE_", frozen=True, extra="ignore")

    token: SecretStr | None = Field(
        None, description="admin token; this or keys are needed on addresses that are not loopback"
    )
    keys: SecretStr | None = Field(
        None, description="kid=secret,…: what tokens are signed with; the first signs"
    )

    @field_validator("token", "keys")
    @classmethod
    def _no_empty_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        # `LONGWAVE_TOKEN=` in an environment file means none, not the empty one.
        return secret if secret is not None and secret.get_secret_value() else None

    @field_validator("keys")
    @classmethod
    def _parsed(cls, keys: SecretStr | None) -> SecretStr | None:
        if keys is not None:
            parse_keys(keys.get_secret_value())
        return keys

    @property
    def token_text(self) -> str | None:
        """The admin token, or None where there is none."""
        return self.token.get_secret_value() if self.token else None

    def token_keys(self) -> Keys | None:
        """What tokens are verified and signed with; takes a moment. None where everything is open."""
        secrets = parse_keys(self.keys.get_secret_value()) if self.keys else {}
        if self.token_text is not None and DERIVED_KID not in secrets:
            secrets[DERIVED_KID] = derived_secret(self.token_text)
        return Keys(secrets) if secrets else None


class StorageSettings(BaseSettings):
    """Where takes are kept for good: in the data directory, or in a storage that several servers share."""

    model_config = SettingsConfigDict(env_prefix="LONGWAVE_", frozen=True, extra="ignore")

    data_dir: Path = Field(Path("data"), description="where rooms, live takes and windows are kept")
    storage: str | None = Field(
        None, description="s3://bucket/prefix or file:///path; None: the data directory"
    )
    s3_endpoint: str | None = Field(None, description="URL of an S3 that is not Amazon's")
    s3_public_endpoint: str | None = Field(
        None, description="the same as listeners reach it, for replay_redirect=presign"
    )
    s3_path_style: bool | None = Field(
        None, description="the bucket is in the path, not in the host's name; default: with an s3_endpoint"
    )
    s3_checksums: bool = Field(default=True, description="send and ask for SHA-256; some S3s refuse it")
    s3_region: str | None = Field(None, description="its region, where the AWS settings do not say it")
    s3_kms_key: str | None = Field(None, description="KMS key that objects are encrypted with")

    @field_validator("storage", "s3_endpoint", "s3_public_endpoint", "s3_region", "s3_kms_key")
    @classmethod
    def _no_empty_text(cls, text: str | None) -> str | None:
        # As with secrets: `LONGWAVE_STORAGE=` means none.
        return text or None

    @property
    def shares_storage(self) -> bool:
        """Whether other servers may be at work in the storage: the data directory belongs to one alone."""
        return self.storage is not None

    def objects(self) -> Objects:
        """The storage. Raises UsageError where it is no such URL, StorageUnavailable where it cannot work."""
        options = S3Options(
            endpoint=self.s3_endpoint,
            public_endpoint=self.s3_public_endpoint,
            region=self.s3_region,
            path_style=self.s3_path_style,
            sse_kms_key=self.s3_kms_key,
            checksums=self.s3_checksums,
        )
        return open_objects(self.storage, self.data_dir, options)


class LogSettings(BaseSettings):
    """What is logged, and how."""

    model_config = SettingsConfigDict(env_prefix="LONGWAVE_", frozen=True, extra="ignore")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged")
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: for people on a terminal, JSON elsewhere"
    )


class HttpSettings(SecretSettings, LogSettings):
    """What every role that listens on a port needs."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int | None = Field(8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    tls_cert: Path | None = Field(None, description="certificate chain (PEM)")
    tls_key: Path | None = Field(None, description="its private key (PEM)")

    @property
    def is_loopback(self) -> bool:
        """Only this machine reaches the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def check_exposure(self) -> None:
        """Refuse to be open to a network by accident. Raises UsageError."""
        if not self.is_loopback and self.token is None and self.keys is None:
            raise UsageError(
                f"{self.host} can be reached from other machines: set LONGWAVE_TOKEN to a secret "
                "(or LONGWAVE_KEYS), or listen on 127.0.0.1"
            )

    def ssl_context(self) -> ssl.SSLContext | None:
        """The server's TLS, or None. Raises UsageError where the files are no pair."""
        if self.tls_cert is None and self.tls_key is None:
            return None
        if self.tls_cert is None or self.tls_key is None:
            raise UsageError("--tls-cert and --tls-key go together")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.tls_cert, self.tls_key)
        except OSError as error:  # ssl.SSLError is one
            raise UsageError(f"TLS: cannot use {self.tls_cert} with {self.tls_key}: {error}") from None
        return context


class BusSettings(BaseSettings):
    """Redis, where roles run apart."""

    model_config = SettingsConfigDict(env_prefix="LONGWAVE_", frozen=True, extra="ignore")

    bus: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="redis://HOST:PORT or redis+sentinel://HOST:PORT,…/MASTER; one, or two at once"
    )
    advertise: AnyHttpUrl | None = Field(
        None,
        description="URL at which other roles, and speakers, reach this server; default: where it listens",
    )

    @field_validator("bus", mode="before")
    @classmethod
    def _buses(cls, value: object) -> object:
        # A Sentinel URL has commas of its own: they never stand before a scheme.
        return tuple(_BETWEEN_URLS.split(value)) if isinstance(value, str) and value else value or ()

    @field_validator("bus")
    @classmethod
    def _parsed_buses(cls, buses: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if len(buses) > _MOST_BUSES:
            raise ValueError(f"at most {_MOST_BUSES} of them")
        for url in buses:
            try:
                parse_bus(url.get_secret_value())
            except UsageError as error:
                raise ValueError(error.message) from None
        return buses

    @field_validator("advertise", mode="before")
    @classmethod
    def _no_empty_url(cls, value: object) -> object:
        return value or None

    @property
    def bus_urls(self) -> tuple[str, ...]:
        """As they were given, with their passwords."""
        return tuple(url.get_secret_value() for url in self.bus)


class LengthSettings(BaseSettings):
    """How much of a live take is held."""

    model_config = SettingsConfigDict(env_prefix="LONGWAVE_", frozen=True, extra="ignore")

    window_seconds: int = Field(900, ge=30, le=86_400, description="how far back listeners can go")


class WindowSettings(LengthSettings):
    """What an origin holds and serves."""

    public_url: AnyHttpUrl | None = Field(
        None, description="what listeners call this server, for feeds; default: what they asked for"
    )
    replay_redirect: str | None = Field(
        None, description="where replays are read: 'presign', or the URL of a CDN before the storage"
    )
    edge_url: Annotated[tuple[AnyHttpUrl, ...], NoDecode] = Field(
        (), description="edges that carry rooms which have grown, with commas between"
    )
    cdn_url: AnyHttpUrl | None = Field(None, description="the CDN that carries the largest rooms")
    edge_from: int = Field(100, ge=1, description="listeners with whom a room goes to the edges")
    cdn_from: int = Field(1000, ge=1, description="listeners with whom a room goes to the CDN")
    max_window_mb: int = Field(4096, ge=16, description="memory that all windows may take")
    max_blocked: int = Field(20_000, ge=1, description="listeners that may wait for media at once")

    @field_validator("public_url", "cdn_url", mode="before")
    @classmethod
    def _no_empty_public_url(cls, value: object) -> object:
        return value or None

    @field_validator("edge_url", mode="before")
    @classmethod
    def _edges(cls, value: object) -> object:
        return tuple(url for url in value.split(",") if url) if isinstance(value, str) else value

    @field_validator("replay_redirect")
    @classmethod
    def _redirect(cls, value: str | None) -> str | None:
        if not value:
            return None
        if value != "presign" and not value.startswith(("https://", "http://")):
            raise ValueError("presign, or a URL such as https://cdn.example")
        return value


class SpeakerSettings(BaseSettings):
    """Who may speak, how long a take waits for them, and how WebRTC reaches this machine."""

    model_config = SettingsConfigDict(env_prefix="LONGWAVE_", frozen=True, extra="ignore")

    idle_timeout: float = Field(60.0, ge=1, le=3600, description="seconds without a speaker that end a take")
    sender_timeout: float = Field(30.0, ge=1, le=3600, description="seconds without audio that drop a sender")
    max_rooms: int = Field(200, ge=1, le=10_000, description="rooms that may be live at once")
    max_speakers: int = Field(
        16, ge=1, le=MAX_SPEAKERS_IN_EVENT, description="speakers that may be in a room at once"
    )
    ice_servers: Annotated[tuple[IceServer, ...], NoDecode] = Field(
        (), description="STUN and TURN servers that browsers are told of"
    )
    whip_address: str | None = Field(None, description="address that NAT maps to this machine, for WebRTC")
    whip_udp_ports: Annotated[tuple[int, int] | None, NoDecode] = Field(
        None, description="LOW-HIGH: UDP ports that a firewall lets through, for WebRTC"
    )

    @field_validator("ice_servers", mode="before")
    @classmethod
    def _servers(cls, value: object) -> object:
        return parse_ice_servers(value) if isinstance(value, str) else value

    @field_validator("whip_address")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return parse_address(value) if value else None

    @field_validator("whip_udp_ports", mode="before")
    @classmethod
    def _ports(cls, value: object) -> object:
        return (parse_udp_ports(value) if value else None) if isinstance(value, str) else value


class EncoderSettings(LengthSettings):
    """What is encoded here, where it goes, and what is kept until the storage has it."""

    origin: Annotated[tuple[AnyHttpUrl, ...], NoDecode] = Field(
        (), description="origins to publish to, beside those that the bus knows"
    )
    redundancy: int = Field(1, ge=1, le=2, description="workers that encode each take, with a bus")
    spool_mb: int = Field(
        2048, ge=16, le=1_048_576, description="disk for what the storage has not taken yet"
    )
    encoder_threads: int | None = Field(
        None, ge=1, le=256, description="threads that encode; default: the cores"
    )

    @field_validator("origin", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(url for url in value.split(",") if url) if isinstance(value, str) else value
