"""The HTTP API, route by route: what each takes, and every answer it can give."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    """A part of the request beside its body; `where` is `path`, `query` or `header`."""

    name: str
    where: str
    description: str
    schema: dict[str, Any]
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Success:
    """An answer to a request that could be fulfilled.

    Attributes
    ----------
    body
        None where there is none.
    sparse
        Whether members that say nothing are left out of the body.
    headers
        Names of headers that are in `HEADERS`.
    links
        Functions that take what is answered as their recordingId.
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


@dataclass(frozen=True, slots=True)
class Header:
    """A header of an answer."""

    description: str
    schema: dict[str, Any] = field(default_factory=dict)
    required: bool = False


HEADERS = {
    "Location": Header("The recording.", {"type": "string", "format": "uri-reference"}, required=True),
    "Retry-After": Header("Seconds after which it pays to ask again.", {"type": "integer", "minimum": 0}),
}

_ID = "eyJQbGF0Zm9ybUVuZHBvaW50SWQiOiI3YjFjIn0"
_RECORDING = Parameter(
    "recordingId", "path", "The service's id of the recording.", {"type": "string", "pattern": f"^{RECORDING_ID}$"}, _ID
)
_IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "Makes repeating the request safe: for 48 hours the same key with the same body gives the first recording and the "
    "first answer, also while the first request is under way.",
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
    Parameter("since", "query", "The first day of interest.", _DAY, "2026-11-22"),
    Parameter("cursor", "query", "Of the answer before.", {"type": "string"}),
    Parameter("limit", "query", "Most recordings at once.", _LIMIT, str(limits.PAGE)),
)

_FINDING = Parameter("id", "path", "The finding's `id`.", {"type": "string"}, "chunk.eyJQ.0-eus-d12-801b")

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
        responses.TransitionBody(operation=Operation.START, at="2026-11-22T09:15:00.000000Z", by="function key"),
        responses.TransitionBody(operation=Operation.PAUSE, at="2026-11-22T09:20:00.000000Z", by="function key"),
        responses.TransitionBody(operation=Operation.RESUME, at="2026-11-22T09:21:00.000000Z", by="function key"),
        responses.TransitionBody(operation=Operation.STOP, at="2026-11-22T09:45:00.000000Z", by="function key"),
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


def _operation(operation: Operation, summary: str, example: responses.Accepted) -> Route:
    states = ", ".join(f"`{state}`" for state in State if state in ALLOWED[operation])
    return Route(
        function=f"{operation}_recording",
        method="post",
        path=f"/api/recordings/{{recordingId}}/{operation}",
        tag="recordings",
        summary=summary,
        description=f"Makes sense in {states}; in every other state it is refused with 409, and nothing is done.",
        parameters=(_RECORDING,),
        successes=(
            Success(
                202,
                "The service has accepted it.",
                responses.Accepted,
                headers=("Retry-After",),
                example=example.as_json(),
            ),
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
        description="The names are those of the ACS API. The service records a call once at a time. "
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
        summary="Say what state a recording is in",
        description="Judged from what this app did, what the service says, and what is archived; while the recording "
        "runs and ever after. Recordings that were started elsewhere show what the service and the archive know.",
        parameters=(_RECORDING,),
        successes=(
            Success(
                200,
                "All that is known.",
                responses.RecordingBody,
                headers=("Retry-After",),
                example=_SHOWN.as_json(),
            ),
        ),
        problems=(*_REFUSALS, *_SERVICE, *_STORAGE),
    ),
    _operation(Operation.PAUSE, "Pause a recording", responses.Accepted(recording_id=_ID, state=State.PAUSED)),
    _operation(
        Operation.RESUME, "Resume a paused recording", responses.Accepted(recording_id=_ID, state=State.STARTING)
    ),
    _operation(Operation.STOP, "Stop a recording for good", responses.Accepted(recording_id=_ID, state=State.STOPPING)),
    Route(
        function="verify_recording",
        method="post",
        path="/api/recordings/{recordingId}/verify",
        tag="archive",
        summary="Read an archived recording back and compare it with its manifest",
        description="Long recordings take several requests: the next one begins at chunk `next`.",
        parameters=(
            Parameter(
                "recordingId", "path", "The service's id, or the last part of the prefix.", {"type": "string"}, _ID
            ),
            Parameter("chunk", "query", "The chunk to begin with.", {"type": "string", "pattern": "^[0-9]{0,6}$"}, "0"),
        ),
        successes=(Success(200, "What was found.", VerificationReport),),
        problems=(problems.INVALID_REQUEST, problems.NOT_ARCHIVED, *_STORAGE),
    ),
    Route(
        function="list_archive",
        method="get",
        path="/api/archive",
        tag="archive",
        summary="List the recordings that the archive holds",
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
        summary="Make the ledger again from the archive",
        description="A page at a time: repeat it with the `cursor` of the answer and the same `since` until there is "
        "none. Puts back what the blobs know, and changes nothing that is known. `recordings reindex` does this.",
        parameters=_PAGING,
        successes=(Success(200, "What was done.", ReindexReport),),
        problems=(problems.INVALID_REQUEST, *_STORAGE),
    ),
    Route(
        function="list_attention",
        method="get",
        path="/api/attention",
        tag="operation",
        summary="List what an operator has to look at",
        description="The loudest first, and of those the one whose source expires first.",
        successes=(Success(200, "The findings.", api_responses.IncidentList, sparse=True),),
        problems=_STORAGE,
    ),
    Route(
        function="settle_attention",
        method="delete",
        path="/api/attention/{id}",
        tag="operation",
        summary="Take a finding off the list",
        description="The evidence in the archive stays. No sweep brings it back, unless it happens once more or for "
        "another reason. Safe to repeat.",
        parameters=(_FINDING,),
        successes=(Success(200, "Whether it was on the list.", api_responses.Settled),),
        problems=_STORAGE,
    ),
    Route(
        function="retry_attention",
        method="post",
        path="/api/attention/{id}/retry",
        tag="operation",
        summary="Put the work of a finding back",
        description="For when its cause is mended: a refused event is taken in again, a chunk that was given up is "
        "tried as if for the first time, the kept events of a recording are announced again. The finding goes once the "
        "archive has the chunks. Safe to repeat.",
        parameters=(_FINDING,),
        successes=(Success(202, "What was put back.", Retried),),
        problems=(problems.NO_FINDING, problems.NOTHING_TO_RETRY, problems.UNREADABLE, *_SERVICE, *_STORAGE),
    ),
    Route(
        function="health",
        method="get",
        path="/api/health",
        tag="operation",
        summary="Say which dependency cannot be reached",
        description="For probes, which bring no key. What it says is up to 5 s old. Names no account and no secret.",
        successes=(
            Success(200, "All can be reached.", api_responses.HealthBody, sparse=True),
            Success(503, "Some cannot be reached; `detail` names the mend.", api_responses.HealthBody, sparse=True),
        ),
        problems=_EVERYWHERE,
        anonymous=True,
    ),
    Route(
        function="diagnostics",
        method="get",
        path="/api/diagnostics",
        tag="operation",
        summary="Try everything the app needs",
        description="What `recordings doctor` shows, as seen by the app.",
        successes=(Success(200, "What was found.", api_responses.DiagnosisBody, sparse=True),),
        problems=_EVERYWHERE,
    ),
    Route(
        function="recording_state_callback",
        method="post",
        path="/api/callbacks/{reference}/{token}",
        tag="webhooks",
        summary="Take a recording's state from the service",
        description="The service's webhook (CloudEvents). The address is made for each recording; its token, which "
        "cannot be guessed, takes the place of a key.",
        parameters=(
            Parameter("reference", "path", "Names the address.", {"type": "string", "minLength": 1}),
            Parameter("token", "path", "Opens it.", {"type": "string", "minLength": 1}),
        ),
        request=_CLOUD_EVENTS,
        successes=(Success(200, "It is noted, also when it was before.", None),),
        problems=(problems.INVALID_REQUEST, problems.NO_CALLBACK, problems.BODY_TOO_LARGE, *_STORAGE),
        anonymous=True,
    ),
    Route(
        function="openapi_document",
        method="get",
        path="/api/openapi.json",
        tag="operation",
        summary="This document",
        description="Needs no key: it holds nothing that the project's public documentation does not, and tools fetch "
        "it without one.",
        successes=(Success(200, "The OpenAPI 3.1 document.", None),),
        problems=(problems.INTERNAL,),
        anonymous=True,
    ),
)
"""Every HTTP route of the app; a test compares this with the functions."""
