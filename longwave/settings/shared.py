"""Settings of what servers share: a storage, and the bus."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from contracts.errors import UsageError
from longwave.settings.values import Text, Url
from storage.objects import Objects
from storage.open import open_objects
from storage.s3_options import S3Options
from workers.redis_bus.address import parse_bus

_MOST_BUSES: Final = 2
_BETWEEN_URLS: Final = re.compile(r",(?=[a-z+]+://)")


class StorageSettings(BaseSettings):
    """Where takes are kept for good: in the data directory, or in a storage that several servers share."""

    model_config = SettingsConfigDict(env_prefix="LONGWAVE_", frozen=True, extra="ignore")

    data_dir: Path = Field(Path("data"), description="where rooms, live takes and windows are kept")
    storage: Text = Field(None, description="s3://bucket/prefix or file:///path; None: the data directory")
    s3_endpoint: Text = Field(None, description="URL of an S3 that is not Amazon's")
    s3_public_endpoint: Text = Field(
        None, description="the same as listeners reach it, for replay_redirect=presign"
    )
    s3_path_style: bool | None = Field(
        None, description="the bucket is in the path, not in the host's name; default: with an s3_endpoint"
    )
    s3_checksums: bool = Field(default=True, description="send and ask for SHA-256; some S3s refuse it")
    s3_region: Text = Field(None, description="its region, where the AWS settings do not say it")
    s3_kms_key: Text = Field(None, description="KMS key that objects are encrypted with")

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


class BusSettings(BaseSettings):
    """Redis, where roles run apart."""

    model_config = SettingsConfigDict(env_prefix="LONGWAVE_", frozen=True, extra="ignore")

    bus: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="redis://HOST:PORT or redis+sentinel://HOST:PORT,…/MASTER; one, or two at once"
    )
    advertise: Url = Field(
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

    @property
    def bus_urls(self) -> tuple[str, ...]:
        """As they were given, with their passwords."""
        return tuple(url.get_secret_value() for url in self.bus)
