"""Settings of whatever listens on a port: secrets, logs, addresses, TLS."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.errors import UsageError
from contracts.tokens import DERIVED_KID, Keys, derived_secret, parse_keys
from longwave.settings.values import Secret


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class SecretSettings(BaseSettings):
    """What tokens are checked and signed with."""

    model_config = SettingsConfigDict(env_prefix="LONGWAVE_", frozen=True, extra="ignore")

    token: Secret = Field(
        None, description="admin token; this or keys are needed on addresses that are not loopback"
    )
    keys: Secret = Field(None, description="kid=secret,…: what tokens are signed with; the first signs")

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
        return is_loopback(self.host)

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
