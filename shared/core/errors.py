"""Every way the app can fail, and what each failure asks of the caller.

ArchiverError
├── SettingsError          the app's settings are wrong: an operator has to correct them
├── InvalidRequest         a caller's request is wrong; names the field
├── RecordingNotFound      an id has not the form of the service's ids
├── NotArchived            the archive has no such recording
├── IncidentNotFound       no incident has this id
├── NothingToRetry         an incident's work cannot be queued again; says why
├── BodyTooLarge           a request's body is longer than the limit
├── UnknownCallback        a state callback came to an address that the app did not make
├── ConsentRequired        a recording may not be started without the participants' consent
├── IdempotencyConflict    an Idempotency-Key was used for another request before
├── WrongState             an operation is not possible in the recording's state; names it
├── InvalidEvent           an event cannot be archived; says why
├── ServiceError           Azure Communication Services refused an operation; keeps its code and message
└── CopyError              a chunk's file could not be archived
    ├── Retryable          a later try can succeed
    │   ├── SourceUnavailable    no answer, 429, 5xx, 401, a cut or stalled body; may have `retry_after`
    │   │   └── SourceRefused        the service answered with an error status
    │   ├── SourceNotReady       an answer that is not the file yet: zero bytes, an HTML page, another format
    │   ├── SourceChanged        the file changed while it was being read
    │   │   └── SourceEnded          it is shorter than the service said before
    │   ├── StorageUnavailable   the archive's own storage refused, or did not answer
    │   ├── ManifestUnreadable   a manifest was changed by others: an operator has to restore it
    │   ├── BlocksLost           staged blocks are gone: another worker committed, or the service discarded them
    │   ├── Handover             the invocation's time is over; what is staged is kept
    │   └── TopicUnavailable     the topic for the archive's own events refused, or did not answer
    ├── Permanent          trying again changes nothing: an operator has to look
    │   ├── UntrustedOrigin      the file, or a redirect, is on a host that credentials must not be sent to
    │   └── ArchiveConflict      another file is archived under this name already; it is kept
    └── Expired            the service has deleted the file: too late
"""

from __future__ import annotations

from typing import NamedTuple

ALREADY_RECORDING = "8553"
"""The service's code for a start in a call that is being recorded."""


class ArchiverError(Exception):
    """Base of everything the app raises on purpose. Messages carry no secrets: the platform sends them to callers."""


class SettingsError(ArchiverError):
    """The app's settings are wrong; each of `faults` names a setting and the fix."""

    def __init__(self, *faults: str) -> None:
        super().__init__("the app's settings are wrong:" + "".join(f"\n  - {fault}" for fault in faults))
        self.faults = faults


class Fault(NamedTuple):
    """What is wrong with one field of a request; the path is a JSON pointer without its first slash."""

    path: str
    detail: str


class InvalidRequest(ArchiverError):  # noqa: N818 - named for what it is, as HTTP names it
    """A caller's request is wrong.

    `detail` says what is wrong and the fix, `field` names the JSON field or header at fault if there is one, `faults`
    has every fault of the body.
    """

    def __init__(self, detail: str, *, field: str | None = None, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.faults = faults


class RecordingNotFound(ArchiverError):  # noqa: N818
    """An id has not the form of the service's ids."""

    def __init__(self) -> None:
        super().__init__("this is no recordingId: the service's consist of letters, digits and -_=+/.~")


class NotArchived(ArchiverError):  # noqa: N818
    """The archive has no such recording."""

    def __init__(self) -> None:
        super().__init__("the archive has no recording with this id; GET /api/archive lists those it has")


class IncidentNotFound(ArchiverError):  # noqa: N818
    """No incident has this id."""

    def __init__(self) -> None:
        super().__init__("nothing has this id; GET /api/attention lists what there is")


class NothingToRetry(ArchiverError):  # noqa: N818
    """An incident's work cannot be queued again; the message says why, and what to do instead."""


class BodyTooLarge(ArchiverError):  # noqa: N818
    """A request's body is longer than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is longer than the {limit} bytes that are read")


class UnknownCallback(ArchiverError):  # noqa: N818
    """A state callback came to an address that the app did not make."""

    def __init__(self) -> None:
        super().__init__("there is no such callback address")


class ConsentRequired(ArchiverError):  # noqa: N818
    """A recording may not be started without the participants' consent."""

    def __init__(self) -> None:
        super().__init__(
            "this deployment requires consent (REQUIRE_CONSENT): "
            "give consent {basis, obtainedFrom, obtainedAt, reference} with the start"
        )
        self.field = "consent"


class IdempotencyConflict(ArchiverError):  # noqa: N818
    """An Idempotency-Key was used for another request before."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request; use a new key for a new request")


class WrongState(ArchiverError):  # noqa: N818
    """The `operation` asked for is not possible in the recording's `state`."""

    def __init__(self, operation: str, state: str) -> None:
        super().__init__(f"a recording that is {state} cannot be asked to {operation}")
        self.operation = operation
        self.state = state


class InvalidEvent(ArchiverError):  # noqa: N818
    """An event cannot be archived; the message says why."""


class ServiceError(ArchiverError):
    """Azure Communication Services refused an operation.

    It has the HTTP `status`, the `code` and `message` of the service's error body, and the seconds of a Retry-After.
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"the service answered {status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after

    @property
    def says_already_recording(self) -> bool:
        """Whether a start was refused because the call is being recorded: a 400 with this code or this text."""
        return self.code == ALREADY_RECORDING or (
            self.status in {400, 409} and "only one recording" in self.message.lower()
        )


class CopyError(ArchiverError):
    """A chunk's file could not be archived."""


class Retryable(CopyError):  # noqa: N818
    """A later try can succeed; `retry_after` has the seconds to wait for, where the other side named them."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SourceUnavailable(Retryable):
    """The service gave no answer, an error, or a body that was cut or stalled."""


class SourceRefused(SourceUnavailable):
    """The service answered with an error `status`."""

    def __init__(self, message: str, *, status: int, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.status = status


class SourceNotReady(Retryable):
    """The service answered with something that is not the file yet: nothing, a page, another format."""


class SourceChanged(Retryable):
    """The file at the service changed while it was being read."""


class SourceEnded(SourceChanged):
    """The file ends before the part that was asked for; the service says that it has `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the file ends after {size} bytes, sooner than expected")
        self.size = size


class StorageUnavailable(Retryable):
    """The archive's own storage refused, or did not answer. The SDK's own texts can hold parts of a signature."""


class ManifestUnreadable(Retryable):
    """The manifest `blob` was changed by others: an operator has to restore it."""

    def __init__(self, blob: str) -> None:
        super().__init__(f"{blob} is not a manifest that the app wrote: bring an earlier version of the blob back")


class BlocksLost(Retryable):
    """Staged blocks are gone, because another worker committed or the service discarded them."""


class Handover(Retryable):
    """The invocation's time is over with `staged` of `size` bytes staged (None: not known); the next one continues."""

    def __init__(self, staged: int, size: int | None) -> None:
        of = "" if size is None else f" of {size}"
        super().__init__(f"the time is over with {staged}{of} bytes staged; the next attempt goes on from there")
        self.staged = staged
        self.size = size


class TopicUnavailable(Retryable):
    """The topic that the archive's own events go to refused one, or did not answer."""


class Permanent(CopyError):  # noqa: N818
    """Trying again changes nothing."""


class UntrustedOrigin(Permanent):
    """A location, or a redirect from one, points where credentials must not be sent."""


class ArchiveConflict(Permanent):
    """A different file is archived under the name already; it was left as it is."""


class Expired(CopyError):  # noqa: N818
    """The service has deleted the file."""
