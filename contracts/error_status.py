"""The HTTP status of each error: the one table, from which every answer takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from contracts.errors import (
    BadDirective,
    BadRequest,
    BusUnavailable,
    Busy,
    BytesConflict,
    DiskUnavailable,
    EditConflict,
    Forbidden,
    LivesElsewhere,
    LongwaveError,
    MalformedMedia,
    MediaMissing,
    NotFound,
    NotReady,
    ObjectDamaged,
    OriginUnavailable,
    OutOfOrder,
    OverCapacity,
    OverLimit,
    OwnerUnavailable,
    PreconditionFailed,
    PreconditionRequired,
    RangeNotSatisfiable,
    SenderTimeout,
    StillLive,
    StorageUnavailable,
    TakeEnded,
    TooLarge,
    Unauthorized,
    UnknownRoom,
    UnknownSession,
    UnknownTake,
    UnprocessableOffer,
    UnsupportedEncoding,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATUS: Final[Mapping[type[LongwaveError], int]] = {
    BadDirective: 400,
    NotFound: 404,
    NotReady: 503,
    StillLive: 409,
    RangeNotSatisfiable: 416,
    MalformedMedia: 400,
    UnknownTake: 404,
    OutOfOrder: 409,
    MediaMissing: 409,
    BytesConflict: 409,
    TakeEnded: 410,
    OverLimit: 503,
    BadRequest: 400,
    Unauthorized: 401,
    Forbidden: 403,
    UnknownRoom: 404,
    UnknownSession: 404,
    LivesElsewhere: 307,
    SenderTimeout: 408,
    Busy: 409,
    EditConflict: 409,
    PreconditionFailed: 412,
    TooLarge: 413,
    UnsupportedEncoding: 415,
    UnprocessableOffer: 422,
    PreconditionRequired: 428,
    OverCapacity: 503,
    OriginUnavailable: 502,
    ObjectDamaged: 502,
    BusUnavailable: 503,
    OwnerUnavailable: 503,
    StorageUnavailable: 503,
    DiskUnavailable: 507,
    UsageError: 400,
}


def http_status(error: LongwaveError) -> int:
    """The HTTP status of an error: the table above, or its base's row there."""
    for kind in type(error).__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return 500
