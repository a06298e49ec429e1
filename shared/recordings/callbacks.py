"""State callbacks: the service reports the states of a recording at an address of the app's own.

An address holds a reference, which names a row in the ledger, and a random token, of which only the hash is kept. The
row is written before the service is asked to start, since a callback can come before the start has returned. The start
or the first callback, whichever is earlier, binds the recordingId to it.

Callbacks come in any order, and more than once. Each becomes a transition that is keyed by its event's id and dated by
its event's time, so the ledger is the same for every order.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError
from pydantic_core import from_json

from shared.core import limits, log
from shared.core.azure_errors import storage_errors_translated
from shared.core.blob_names import safe_name, unpadded
from shared.core.errors import BodyTooLarge, InvalidRequest, UnknownCallback
from shared.core.models import ReceivedModel, UtcDatetime
from shared.core.times import Now, iso_time, utc_now
from shared.storage.ledger import Report

if TYPE_CHECKING:
    from shared.storage.claims import Claims
    from shared.storage.ledger import Ledger

ROUTE = "callbacks"
"""The route's first segment, below `api`."""

STATE_CHANGED = "Microsoft.Communication.RecordingStateChanged"
START_FAILED = "Microsoft.Communication.StartRecordingFailed"

NOT_BEGUN = "not begun"
"""The detail of an `inactive` whose recording has not begun: its start time is in the year 1."""

_TOKEN_BYTES = 32
_UNKNOWN = hashlib.sha256(b"").hexdigest()  # of an empty token, which no route accepts

_Id = Annotated[str, Field(min_length=1, max_length=limits.LONGEST_IDENTIFIER)]


@dataclass(frozen=True, slots=True)
class CallbackAddress:
    """The address at which the service reports a recording's states; the URL is a secret."""

    reference: str
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StateCallback:
    """What one callback reports; `operation` is None for a state that the app does not know."""

    event_id: str
    at: datetime
    recording_id: str
    operation: Report | None
    detail: str | None
    server_call_id: str | None


class _Result(ReceivedModel):
    code: int | str | None = None
    sub_code: int | str | None = None
    message: str | None = None


class _Data(ReceivedModel):
    recording_id: _Id
    state: str | None = None
    start_date_time: datetime | None = None
    server_call_id: _Id | None = None
    result_information: _Result | None = None


class _Envelope(ReceivedModel):
    id: _Id
    type: str
    time: UtcDatetime | None = None
    data: dict[str, Any]


def parse_callbacks(body: bytes, received_at: datetime) -> list[StateCallback]:
    """Read what the service posts: an array of CloudEvents, or a single one.

    Events of other types are left out.

    Parameters
    ----------
    received_at
        Used as the time of an event that has none.

    Raises
    ------
    InvalidRequest
        It is not JSON, or a field is missing or wrong; names it.
    """
    try:
        decoded = from_json(body)
    except ValueError as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from None
    events = decoded if isinstance(decoded, list) else [decoded]
    found = (_parse(event, index, received_at) for index, event in enumerate(events))
    return [callback for callback in found if callback is not None]


def _parse(event: object, index: int, received_at: datetime) -> StateCallback | None:
    envelope = _read(_Envelope, event, f"[{index}]")
    kind = envelope.type.lower()
    if kind not in {STATE_CHANGED.lower(), START_FAILED.lower()}:
        log.info("callback.ignored", eventType=envelope.type[:200])
        return None
    data = _read(_Data, envelope.data, f"[{index}].data")
    operation, detail = _failure(data) if kind == START_FAILED.lower() else _state(data, f"[{index}].data")
    return StateCallback(
        envelope.id, envelope.time or received_at, unpadded(data.recording_id), operation, detail, data.server_call_id
    )


def _failure(data: _Data) -> tuple[Report, str | None]:
    result = data.result_information or _Result()
    code = "/".join(str(code) for code in (result.code, result.sub_code) if code is not None)
    detail = ": ".join(part for part in (code, result.message) if part)
    return Report.FAILED, detail[: limits.LONGEST_DETAIL] or None


def _state(data: _Data, path: str) -> tuple[Report | None, str | None]:
    match (data.state or "").lower():
        case "active":
            return Report.ACTIVE, None
        case "inactive":
            begun = data.start_date_time is None or data.start_date_time.year > 1
            return Report.INACTIVE, None if begun else NOT_BEGUN
        case "":
            raise InvalidRequest(f"{path}.state is missing", field=f"{path}.state")
    return None, None


def _read[M: ReceivedModel](model: type[M], value: object, path: str) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join([path, *(str(part) for part in fault["loc"])])
        raise InvalidRequest(f"{where}: {fault['msg']}", field=where) from None


class Callbacks:
    """Makes addresses for state callbacks below `base_url`, and takes the callbacks; None turns callbacks off."""

    def __init__(self, ledger: Ledger, claims: Claims, base_url: str | None, *, now: Now = utc_now) -> None:
        self._ledger = ledger
        self._claims = claims
        self._base_url = base_url
        self._now = now

    async def address(self) -> CallbackAddress | None:
        """Return a new address, whose hash is kept; None where callbacks are off."""
        if self._base_url is None:
            return None
        reference, token = secrets.token_hex(12), secrets.token_urlsafe(_TOKEN_BYTES)
        await self._claims.claim("callback", reference, tokenHash=_hash(token), madeAt=iso_time(self._now()))
        return CallbackAddress(reference, f"{self._base_url}/api/{ROUTE}/{reference}/{token}")

    async def bind(self, reference: str, recording_id: str) -> bool:
        """Bind an address to a recording, permanently; return whether it is bound to this one."""
        bound = await self._claims.claim("callback-recording", reference, recordingId=recording_id)
        if bound is None or bound["recordingId"] == recording_id:
            return True
        log.error("callback.of_another_recording", boundTo=bound["recordingId"], recordingId=recording_id)
        return False

    async def take(self, reference: str, token: str, body: bytes) -> None:
        """Take in what the service posts.

        Raises
        ------
        UnknownCallback
            There is no such address.
        BodyTooLarge
            The body is larger than `limits.LARGEST_CALLBACK`.
        InvalidRequest
            The body is not what the service posts.
        StorageUnavailable
            It could not be noted; the service should send it again.
        """
        with storage_errors_translated():
            known = await self._claims.get("callback", reference)
            expected = known["tokenHash"] if known is not None else _UNKNOWN
            if not hmac.compare_digest(_hash(token), expected) or known is None:
                raise UnknownCallback
            if len(body) > limits.LARGEST_CALLBACK:
                raise BodyTooLarge(limits.LARGEST_CALLBACK)
            for callback in parse_callbacks(body, self._now()):
                if await self.bind(reference, callback.recording_id):
                    await self._note(callback)

    async def _note(self, callback: StateCallback) -> None:
        name = safe_name(callback.recording_id)
        with log.fields(recordingId=callback.recording_id, eventId=callback.event_id):
            if callback.operation is None:
                log.warning("callback.state_unknown")
                return
            await self._ledger.learn(name, recordingId=callback.recording_id, serverCallId=callback.server_call_id)
            await self._ledger.record(
                name, callback.operation, at=callback.at, detail=callback.detail, key=f"callback {callback.event_id}"
            )
            if callback.server_call_id is not None:
                await self._ledger.link(callback.server_call_id, name)
            log.info("recording.reported", state=callback.operation, detail=callback.detail)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
