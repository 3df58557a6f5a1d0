"""Settings: typed, validated, from flags, `LONGWAVE_…` variables, a file and defaults, in this order."""

from longwave.settings.load import Loaded, load_settings, loaded
from longwave.settings.roles import (
    ROLES,
    EdgeSettings,
    EncodingSettings,
    IngestRoleSettings,
    OriginSettings,
    ServeSettings,
    WorkerSettings,
)
from longwave.settings.server import HttpSettings, SecretSettings
from longwave.settings.shared import BusSettings, StorageSettings

__all__ = [
    "ROLES",
    "BusSettings",
    "EdgeSettings",
    "EncodingSettings",
    "HttpSettings",
    "IngestRoleSettings",
    "Loaded",
    "OriginSettings",
    "SecretSettings",
    "ServeSettings",
    "StorageSettings",
    "WorkerSettings",
    "load_settings",
    "loaded",
]
