"""The one error tree. Each branch names whose fault it was; each leaf has one HTTP status (`error_status`).

::

    LongwaveError
    ├── ListenerError             a player or a CDN asked for what it cannot have
    │   ├── BadDirective            400  a query that no playlist can answer
    │   ├── NotFound                404  no such room, take, rendition, part
    │   ├── NotReady                503  blocked without progress, filling, starting, draining
    │   ├── StillLive               409  a replay of a take that is live, or not finished yet
    │   └── RangeNotSatisfiable     416  bytes beyond the end
    ├── PublisherError            a worker handed over what the origin cannot take
    │   ├── MalformedMedia          400  not one moof+mdat on the grid, not a header, not an event
    │   ├── UnknownTake             404  take.json was not put first
    │   ├── OutOfOrder              409  something before it is missing; says what is expected
    │   ├── MediaMissing            409  an end before the media is whole; says what is expected
    │   ├── BytesConflict           409  other bytes under a name that is taken
    │   ├── TakeEnded               410  media after the end
    │   └── OverLimit               503  more takes or memory than this origin may hold
    ├── SpeakerError              a sender of audio, or a host
    │   ├── BadRequest              400  ids, queries, JSON, PCM of odd length
    │   ├── Unauthorized            401  no token where one is needed
    │   ├── Forbidden               403  a token that does not allow this
    │   ├── UnknownRoom             404
    │   ├── UnknownSession          404  a WHIP session that is over, or never was
    │   ├── LivesElsewhere          307  the room is owned by another ingest; says where
    │   ├── SenderTimeout           408  a body that stopped
    │   ├── Busy                    409  another connection broke it off; the room is live
    │   │   └── TakeWasEnded        409  the take's end broke it off
    │   ├── EditConflict            409  somebody else changed it in the same moment
    │   ├── PreconditionFailed      412  an If-Match that names another ICE session
    │   ├── TooLarge                413
    │   ├── UnsupportedEncoding     415
    │   ├── UnprocessableOffer      422  SDP without Opus to receive, an ICE restart
    │   ├── PreconditionRequired    428  a PATCH without If-Match
    │   └── OverCapacity            503  more rooms or speakers than this server may hold
    ├── DependencyError           what Longwave stands on fails; never the other party's fault
    │   ├── OriginUnavailable       502  no answer, or no sense in it
    │   ├── ObjectDamaged           502  a stored object is not what was stored
    │   ├── BusUnavailable          503  no Redis answers
    │   ├── OwnerUnavailable        503  the ingest that owns a room gives no answer
    │   └── StorageUnavailable      503  no answer, refused, timed out
    │       └── DiskUnavailable     507  full, not writable, broken
    ├── UsageError                the command line: one line on stderr, exit code 2
    │   └── UndecodableFile
    ├── BusRefused, SamplesLost   (workers/bus.py) out of step with the bus; handled inside, nobody's answer
    └── ObjectMissing, -Changed   (storage/objects.py) handled inside, nobody's answer
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contracts.position import Position


class LongwaveError(Exception):
    """Base of all. `message` is one line that tells the party at fault what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def details(self) -> Mapping[str, object]:
        """Further members of the JSON answer, beside `error`."""
        return {}

    def headers(self) -> Mapping[str, str]:
        """Header fields that belong to the answer."""
        return {}


class ListenerError(LongwaveError):
    """A player or a CDN asked for what it cannot have."""


class BadDirective(ListenerError):
    """A query that no playlist can answer (rfc8216bis 6.2.5.2 asks for 400)."""


class NotFound(ListenerError):
    """No such room, take, rendition, segment or part, or not any more."""


class NotReady(ListenerError):
    """Blocked without progress, filling, starting or draining: the same request is right a moment later."""


class StillLive(ListenerError):
    """A replay that is not there yet, because its take is live or being finished.

    `retry_after` is in seconds.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def headers(self) -> Mapping[str, str]:
        """When to come back."""
        return {"Retry-After": str(self.retry_after)}


class RangeNotSatisfiable(ListenerError):
    """Bytes beyond the end of what is `size` bytes long (RFC 9110 15.5.17)."""

    def __init__(self, message: str, size: int) -> None:
        super().__init__(message)
        self.size = size

    def headers(self) -> Mapping[str, str]:
        """How long it is (RFC 9110 14.4)."""
        return {"Content-Range": f"bytes */{self.size}"}


class PublisherError(LongwaveError):
    """A worker handed over what the origin cannot take."""


class MalformedMedia(PublisherError):
    """Bytes that are not one `moof`+`mdat` on the grid, not a CMAF header, or not a known event."""


class UnknownTake(PublisherError):
    """`take.json` was not put first (or the take has left the window)."""


class _Expecting(PublisherError):
    """Carries the position that the origin waits for."""

    def __init__(self, message: str, expected: Position) -> None:
        super().__init__(message)
        self.expected = expected

    def details(self) -> Mapping[str, object]:
        """`{"expected": {"msn": …, "part": …}}`."""
        return {"expected": {"msn": self.expected.msn, "part": self.expected.part}}


class OutOfOrder(_Expecting):
    """Something before it is missing."""


class MediaMissing(_Expecting):
    """The take cannot end here: media before its last sample is missing."""


class BytesConflict(PublisherError):
    """Other bytes under a name that is taken. The first writer wins."""


class TakeEnded(PublisherError):
    """Media after the take's end."""


class OverLimit(PublisherError):
    """More takes or memory than this origin may hold."""


class SpeakerError(LongwaveError):
    """A sender of audio, or a host, did what cannot be taken."""


class BadRequest(SpeakerError):
    """An id, a query, a JSON body or a PCM body that is not what it should be."""


class Unauthorized(SpeakerError):
    """No token where one is needed."""


class Forbidden(SpeakerError):
    """A token that does not allow this."""


class UnknownRoom(SpeakerError):
    """No such room."""


class UnknownSession(SpeakerError):
    """No such WHIP session, or not any more."""


class LivesElsewhere(SpeakerError):
    """The room is owned by the ingest at `url`; `location` is what was asked for, there."""

    def __init__(self, url: str, location: str = "") -> None:
        super().__init__("this room lives on another ingest: go there")
        self.url = url
        self.location = location

    def headers(self) -> Mapping[str, str]:
        """Where to go (RFC 9110 15.4.8): the same request with the same body, there."""
        return {"Location": self.location or self.url}


class SenderTimeout(SpeakerError):
    """A body that stopped arriving."""


class Busy(SpeakerError):
    """A newer connection of the same speaker took over, or the room is live."""


class TakeWasEnded(Busy):
    """The take was ended: whoever connects again starts another one, which is not for a machine to decide."""

    def details(self) -> Mapping[str, object]:
        """`{"ended": true}`."""
        return {"ended": True}


class EditConflict(SpeakerError):
    """Somebody else changed the same thing in the same moment: read it again."""


class PreconditionFailed(SpeakerError):
    """An If-Match that does not name what is here."""


class TooLarge(SpeakerError):
    """A body or a message over its bound."""


class UnsupportedEncoding(SpeakerError):
    """A Content-Encoding or Content-Type that this resource does not take."""


class UnprocessableOffer(SpeakerError):
    """SDP that is well formed and asks for what cannot be done here."""


class PreconditionRequired(SpeakerError):
    """A request that has to say with If-Match what it is about."""


class OverCapacity(SpeakerError):
    """More rooms or speakers than this server may hold."""


class DependencyError(LongwaveError):
    """What Longwave stands on fails: a disk, an origin, a bus, a storage."""


class OriginUnavailable(DependencyError):
    """An origin gave no answer, or one without sense."""


class ObjectDamaged(DependencyError):
    """A stored object whose bytes are not those that were stored."""


class BusUnavailable(DependencyError):
    """No bus answers. Takes that live go on; new ones, and whatever needs the bus, must wait for it."""

    def headers(self) -> Mapping[str, str]:
        """It may be back in a moment."""
        return {"Retry-After": "1"}


class OwnerUnavailable(DependencyError):
    """The ingest that owns a room gives no answer, or has just lost it: the next try finds the next owner."""


class StorageUnavailable(DependencyError):
    """A storage that gives no answer, refuses or times out. It may work a moment later."""


class DiskUnavailable(StorageUnavailable):
    """A disk that is full, not writable or broken."""


class UsageError(LongwaveError):
    """The command line asked for what cannot be done: one line on stderr and exit code 2."""


class UndecodableFile(UsageError):
    """A file that no decoder here can read."""
