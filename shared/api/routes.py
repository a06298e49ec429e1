"""The routes of the HTTP API: parameters, bodies, and all answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.api import problems
from shared.api import responses as api_responses
from shared.archiving.verification import VerificationReport
from shared.catalogue.listing import ArchiveListing
from shared.core import limits
from shared.recordings import responses
from shared.recordings.lookup import RECORDING_ID
from shared.recordings.start_request import IDEMPOTENCY_KEY, StartRecording
from shared.recordings.states import ALLOWED, State
from shared.recovery.manual_retry import Retried
from shared.recovery.reindex import ReindexReport
from shared.storage.ledger import Operation

if TYPE_CHECKING:
    from pydantic import BaseModel

    from shared.api.problems import ProblemKind


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a request; `where` is `path`, `query` or `header`."""

    name: str
    where: str
    description: str
    schema: dict[str, Any]
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Success:
    """An answer to a successful request.

    Attributes
    ----------
    sparse
        Whether empty members are left out of the body.
    headers
        Names in `HEADERS`.
    links
        Functions that take the body's recordingId.
    """

    status: int
    description: str
    body: type[BaseModel] | None
    sparse: bool = False
    headers: tuple[str, ...] = ()
    example: dict[str, Any] | None = None
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A method on a path, and the function that answers it."""

    function: str
    method: str
    path: str
    tag: str
    summary: str
    description: str
    successes: tuple[Success, ...]
    problems: tuple[ProblemKind, ...]
    parameters: tuple[Parameter, ...] = ()
    request: type[BaseModel] | dict[str, Any] | None = None
    anonymous: bool = False


HEADERS: dict[str, dict[str, Any]] = {
    "Location": {
        "description": "The recording.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Retry-After": {"description": "Seconds until the next request.", "schema": {"type": "integer", "minimum": 0}},
}
"""Headers of answers, as the OpenAPI document has them."""

_ID = "eyJQbGF0Zm9ybUVuZHBvaW50SWQiOiI3YjFjIn0"
_RECORDING = Parameter(
    "recordingId", "path", "The service's id of the recording.", {"type": "string", "pattern": f"^{RECORDING_ID}$"}, _ID
)
_IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "Makes it safe to repeat the request: for 48 hours the same key with the same body gives the first recording and "
    "the first answer, also while the first request is being handled.",
    {"type": "string", "pattern": f"^{IDEMPOTENCY_KEY}$"},
    "8e03978e-40d5-43e8-bc93-6894a57f9324",
)

_CLOUD_EVENTS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["id", "type", "data"],
        "properties": {
            "id": {"type": "string", "minLength": 1},
            "type": {"type": "string", "description": "`Microsoft.Communication.RecordingStateChanged` and others."},
            "time": {"type": "string", "format": "date-time"},
            "data": {"type": "object"},
        },
    },
}

_DAY = {"type": "string", "pattern": "^([0-9]{4}-[0-9]{2}-[0-9]{2})?$"}
_LIMIT = {"type": "integer", "minimum": 1, "maximum": limits.LARGEST_PAGE}
_PAGING = (
    Parameter("since", "query", "The first day.", _DAY, "2026-11-22"),
    Parameter("cursor", "query", "From the previous answer.", {"type": "string"}),
    Parameter("limit", "query", "Most recordings on a page.", _LIMIT, str(limits.PAGE)),
)

_INCIDENT = Parameter("id", "path", "The incident's `id`.", {"type": "string"}, "chunk.eyJQ.0-eus-d12-801b")

_EVERYWHERE = (problems.INTERNAL, problems.SETTINGS)
_STORAGE = (*_EVERYWHERE, problems.STORAGE_UNAVAILABLE)
_SERVICE = (
    problems.NOT_FOUND,
    problems.TOO_MANY,
    problems.CREDENTIALS,
    problems.SERVICE_FAILED,
    problems.SERVICE_UNAVAILABLE,
)
_REFUSALS = (problems.REFUSED, problems.CONFLICT, problems.PRECONDITION)

_SHOWN = responses.RecordingBody(
    recording_id=_ID,
    state=State.ARCHIVING,
    recording_kind="azureCommunicationServices",
    call_id="7a1b2c3d-1111-4222-8333-444455556666",
    server_call_id="aHR0cHM6Ly9jb252LXVzZWEtMDguY29udi5za3lwZS5jb20",
    started_at="2026-11-22T09:15:00.000000Z",
    started_by="function key",
    ended_at="2026-11-22T09:45:00.000000Z",
    duration_ms=1_740_000,
    options={"serverCallId": "aHR0cHM6Ly9jb252LXVzZWEtMDguY29udi5za3lwZS5jb20", "recordingContentType": "audioVideo"},
    transitions=[
        responses.TransitionBody(operation=operation, at=f"2026-11-22T09:{minute}:00.000000Z", by="function key")
        for operation, minute in zip(list(Operation)[:4], (15, 20, 21, 45), strict=True)
    ],
    pauses=[responses.Pause(begin="2026-11-22T09:20:00.000000Z", end="2026-11-22T09:21:00.000000Z")],
    prefix=f"2026/11/22/{_ID}",
    chunks=[
        responses.ChunkBody(
            index=0,
            document_id="0-eus-d12-801b3f3fc462fe8a01e6810cbff729b8",
            state="copying",
            bytes_done=83_886_080,
            bytes_total=217_055_232,
        )
    ],
    expires_at="2026-11-23T09:46:10.000000Z",
    hours_left=24.0,
)


def _operation(operation: Operation, summary: str, state: State) -> Route:
    example = responses.Accepted(recording_id=_ID, state=state).as_json()
    states = ", ".join(f"`{state}`" for state in State if state in ALLOWED[operation])
    return Route(
        function=f"{operation}_recording",
        method="post",
        path=f"/api/recordings/{{recordingId}}/{operation}",
        tag="recordings",
        summary=summary,
        description=f"Possible in {states}; in every other state it is refused with 409, and nothing is done.",
        parameters=(_RECORDING,),
        successes=(
            Success(202, "The service has accepted it.", responses.Accepted, headers=("Retry-After",), example=example),
        ),
        problems=(problems.WRONG_STATE, *_REFUSALS, *_SERVICE, *_STORAGE),
    )


ROUTES = (
    Route(
        function="start_recording",
        method="post",
        path="/api/recordings",
        tag="recordings",
        summary="Start recording a call",
        description="The names are those of the ACS API. The service makes one recording of a call at a time. "
        "With `REQUIRE_CONSENT` a start without `consent` is refused.",
        parameters=(_IDEMPOTENCY_KEY,),
        request=StartRecording,
        successes=(
            Success(
                201,
                "The service has accepted the start.",
                responses.Started,
                headers=("Location",),
                example=responses.Started(
                    recording_id=_ID, state=State.STARTING, recording_kind="azureCommunicationServices"
                ).as_json(),
                links=("get_recording", "pause_recording", "resume_recording", "stop_recording"),
            ),
        ),
        problems=(
            problems.INVALID_REQUEST,
            problems.CONSENT_REQUIRED,
            problems.ALREADY_RECORDING,
            problems.KEY_REUSED,
            *_REFUSALS,
            *_SERVICE,
            *_STORAGE,
        ),
    ),
    Route(
        function="get_recording",
        method="get",
        path="/api/recordings/{recordingId}",
        tag="recordings",
        summary="Get a recording's state",
        description="From this app's own operations, the service's answers and the archive, during the recording and "
        "after it. For a recording that another client started, only the service and the archive are used.",
        parameters=(_RECORDING,),
        successes=(
            Success(200, "The recording.", responses.RecordingBody, headers=("Retry-After",), example=_SHOWN.as_json()),
        ),
        problems=(*_REFUSALS, *_SERVICE, *_STORAGE),
    ),
    _operation(Operation.PAUSE, "Pause a recording", State.PAUSED),
    _operation(Operation.RESUME, "Resume a paused recording", State.STARTING),
    _operation(Operation.STOP, "End a recording", State.STOPPING),
    Route(
        function="verify_recording",
        method="post",
        path="/api/recordings/{recordingId}/verify",
        tag="archive",
        summary="Read an archived recording and compare it with its manifest",
        description="Long recordings take several requests: the next one begins at chunk `next`.",
        parameters=(
            Parameter(
                "recordingId", "path", "The service's id, or the last part of the prefix.", {"type": "string"}, _ID
            ),
            Parameter("chunk", "query", "The chunk to begin with.", {"type": "string", "pattern": "^[0-9]{0,6}$"}, "0"),
        ),
        successes=(Success(200, "The result.", VerificationReport),),
        problems=(problems.INVALID_REQUEST, problems.NOT_ARCHIVED, *_STORAGE),
    ),
    Route(
        function="list_archive",
        method="get",
        path="/api/archive",
        tag="archive",
        summary="List the recordings in the archive",
        description="By day and name, a page at a time.",
        parameters=_PAGING,
        successes=(Success(200, "A page.", ArchiveListing),),
        problems=(problems.INVALID_REQUEST, *_STORAGE),
    ),
    Route(
        function="reindex_ledger",
        method="post",
        path="/api/reindex",
        tag="operation",
        summary="Rebuild the ledger from the archive",
        description="A page at a time: repeat it with the answer's `cursor` and the same `since` until there is no "
        "cursor. Adds what the ledger lacks, and changes nothing else. `recordings reindex` does this.",
        parameters=_PAGING,
        successes=(Success(200, "The page's result.", ReindexReport),),
        problems=(problems.INVALID_REQUEST, *_STORAGE),
    ),
    Route(
        function="list_attention",
        method="get",
        path="/api/attention",
        tag="operation",
        summary="List the incidents",
        description="By severity, the highest first, and of the same severity the one whose source expires first.",
        successes=(Success(200, "The incidents.", api_responses.IncidentList, sparse=True),),
        problems=_STORAGE,
    ),
    Route(
        function="settle_attention",
        method="delete",
        path="/api/attention/{id}",
        tag="operation",
        summary="Settle an incident",
        description="It leaves the list; the evidence in the archive stays. It comes back only if it happens again, or "
        "for another reason. Safe to repeat.",
        parameters=(_INCIDENT,),
        successes=(Success(200, "Whether it was on the list.", api_responses.Settled),),
        problems=_STORAGE,
    ),
    Route(
        function="retry_attention",
        method="post",
        path="/api/attention/{id}/retry",
        tag="operation",
        summary="Queue the work of an incident again",
        description="For use after its cause is fixed: a refused event is read again, a chunk that was given up is "
        "tried from the beginning, a recording's kept events are read again. The incident is resolved when the archive "
        "has the chunks. Safe to repeat.",
        parameters=(_INCIDENT,),
        successes=(Success(202, "What was queued again.", Retried),),
        problems=(problems.NO_FINDING, problems.NOTHING_TO_RETRY, problems.UNREADABLE, *_SERVICE, *_STORAGE),
    ),
    Route(
        function="health",
        method="get",
        path="/api/health",
        tag="operation",
        summary="Report which dependency cannot be reached",
        description="For probes, without a key. The answer is up to 5 s old. It names no account and no secret.",
        successes=(
            Success(200, "All can be reached.", api_responses.HealthBody, sparse=True),
            Success(503, "Some cannot be reached; `detail` names the fix.", api_responses.HealthBody, sparse=True),
        ),
        problems=_EVERYWHERE,
        anonymous=True,
    ),
    Route(
        function="diagnostics",
        method="get",
        path="/api/diagnostics",
        tag="operation",
        summary="Check everything that the app needs",
        description="The checks of `recordings doctor`, made by the app.",
        successes=(Success(200, "The results.", api_responses.DiagnosisBody, sparse=True),),
        problems=_EVERYWHERE,
    ),
    Route(
        function="recording_state_callback",
        method="post",
        path="/api/callbacks/{reference}/{token}",
        tag="webhooks",
        summary="Receive a recording's state from the service",
        description="The service's webhook (CloudEvents). Each recording has its own address, with a random token in "
        "place of a key.",
        parameters=(
            Parameter("reference", "path", "The address's name.", {"type": "string", "minLength": 1}),
            Parameter("token", "path", "The address's secret.", {"type": "string", "minLength": 1}),
        ),
        request=_CLOUD_EVENTS,
        successes=(Success(200, "It is stored, or was stored before.", None),),
        problems=(problems.INVALID_REQUEST, problems.NO_CALLBACK, problems.BODY_TOO_LARGE, *_STORAGE),
        anonymous=True,
    ),
    Route(
        function="openapi_document",
        method="get",
        path="/api/openapi.json",
        tag="operation",
        summary="This document",
        description="Needs no key: its content is public in the project's documentation.",
        successes=(Success(200, "The OpenAPI 3.1 document.", None),),
        problems=(problems.INTERNAL,),
        anonymous=True,
    ),
)
"""Every HTTP route of the app."""
