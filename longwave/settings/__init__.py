"""Settings: typed, validated, from flags, `LONGWAVE_…` variables and defaults, in this order."""

from longwave.settings.groups import (
    BusSettings,
    HttpSettings,
    SecretSettings,
    StorageSettings,
)
from longwave.settings.load import load_settings
from longwave.settings.roles import (
    EncodingSettings,
    IngestRoleSettings,
    OriginSettings,
    ServeSettings,
    WorkerSettings,
)

__all__ = [
    "BusSettings",
    "EncodingSettings",
    "HttpSettings",
    "IngestRoleSettings",
    "OriginSettings",
    "SecretSettings",
    "ServeSettings",
    "StorageSettings",
    "WorkerSettings",
    "load_settings",
]
