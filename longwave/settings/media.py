"""Settings of what happens to sound: who may speak, what is encoded where, what listeners get."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from contracts.take import MAX_SPEAKERS_IN_EVENT
from longwave.settings.values import Text, Url, Urls
from workers.whip.settings import IceServer, parse_address, parse_ice_servers, parse_udp_ports


class LengthSettings(BaseSettings):
    """How much of a live take is held."""

    model_config = SettingsConfigDict(env_prefix="LONGWAVE_", frozen=True, extra="ignore")

    window_seconds: int = Field(900, ge=30, le=86_400, description="how far back listeners can go")


class WindowSettings(LengthSettings):
    """What an origin holds and serves."""

    public_url: Url = Field(
        None, description="what listeners call this server, for feeds; default: what they asked for"
    )
    replay_redirect: Text = Field(
        None, description="where replays are read: 'presign', or the URL of a CDN before the storage"
    )
    edge_url: Urls = Field((), description="edges that carry rooms which have grown, with commas between")
    cdn_url: Url = Field(None, description="the CDN that carries the largest rooms")
    edge_from: int = Field(100, ge=1, description="listeners with whom a room goes to the edges")
    cdn_from: int = Field(1000, ge=1, description="listeners with whom a room goes to the CDN")
    max_window_mb: int = Field(4096, ge=16, description="memory that all windows may take")
    max_blocked: int = Field(20_000, ge=1, description="listeners that may wait for media at once")

    @field_validator("replay_redirect")
    @classmethod
    def _redirect(cls, value: str | None) -> str | None:
        if value is not None and value != "presign" and not value.startswith(("https://", "http://")):
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

    origin: Urls = Field((), description="origins to publish to, beside those that the bus knows")
    redundancy: int = Field(1, ge=1, le=2, description="workers that encode each take, with a bus")
    spool_mb: int = Field(
        2048, ge=16, le=1_048_576, description="disk for what the storage has not taken yet"
    )
    encoder_threads: int | None = Field(
        None, ge=1, le=256, description="threads that encode; default: the cores"
    )
