from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError

from shared.core.errors import ServiceError
from shared.core.retry_policy import Backoff
from shared.recordings import acs_client
from shared.recordings.acs_client import AcsClient, Repeatability
from shared.recordings.start_request import parse_start

if TYPE_CHECKING:
    from azure.communication.callautomation.aio import CallAutomationClient

BODY = b'{"serverCallId": "call", "recordingFormatType": "wav", "pauseOnStart": false}'


class Client:
    """The SDK's client; gives the prepared answers in order, and then repeats the last one."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.asked: list[dict[str, Any]] = []

    async def start_recording(self, **options: Any) -> Any:
        return await self._outcome(options)

    async def get_recording_properties(self, recording_id: str) -> Any:
        return await self._outcome({"recording_id": recording_id})

    async def stop_recording(self, recording_id: str) -> None:
        await self._outcome({"recording_id": recording_id})

    async def _outcome(self, asked: dict[str, Any]) -> Any:
        self.asked.append(asked)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if outcome is None:
            await asyncio.Event().wait()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


RECORDING = SimpleNamespace(recording_id="r", recording_state="inactive", recording_kind=None)


def refused(status: int, **headers: str) -> HttpResponseError:
    response: Any = SimpleNamespace(status_code=status, reason="no", headers=headers, text=lambda: "", request=None)
    return HttpResponseError(response=response)


def controlled(*outcomes: Any) -> tuple[Client, AcsClient]:
    client = Client(*outcomes)
    return client, AcsClient(cast("CallAutomationClient", client))


async def test_all_tries_of_a_start_carry_the_same_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acs_client, "CONTROL_BACKOFF", Backoff(first=0))
    client, service = controlled(ServiceRequestError("lost"), refused(500), RECORDING)
    first = Repeatability(UUID(int=0, version=4), datetime(2026, 11, 22, 9, 15, tzinfo=UTC))
    await service.start(parse_start(BODY), first)
    assert [asked["headers"] for asked in client.asked] == [
        {
            "Repeatability-Request-ID": "00000000-0000-4000-8000-000000000000",
            "Repeatability-First-Sent": "Sun, 22 Nov 2026 09:15:00 GMT",
        }
    ] * 3


async def test_starts_that_are_not_repeated_have_identities_of_their_own() -> None:
    client, service = controlled(RECORDING)
    for _ in range(2):
        await service.start(parse_start(BODY))
    assert len({asked["headers"]["Repeatability-Request-ID"] for asked in client.asked}) == 2


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("60", 60, 60), ("Wed, 01 Jan 2070 00:00:00 GMT", 10**8, 10**10), ("0.5", None, None), ("soon", None, None)],
)
async def test_the_services_wish_is_passed_on(header: str, least: int | None, most: int | None) -> None:
    _, service = controlled(refused(404, **{"Retry-After": header}))
    with pytest.raises(ServiceError) as raised:
        await service.get("r")
    if least is None or most is None:
        assert raised.value.retry_after is None
    else:
        assert least <= (raised.value.retry_after or 0) <= most


async def test_a_service_that_hangs_is_not_waited_for_longer_than_a_caller_is_patient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(acs_client, "PATIENCE_OF_GET", 0.05)
    _, service = controlled(None)
    with pytest.raises(ServiceError) as raised:
        await service.get("r")
    assert (raised.value.status, raised.value.code) == (503, "ServiceTimeout")


async def test_what_the_service_refuses_for_good_is_not_asked_again() -> None:
    client, service = controlled(refused(400))
    with pytest.raises(ServiceError):
        await service.get("r")
    assert len(client.asked) == 1


async def test_a_recording_that_a_try_before_has_stopped_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acs_client, "CONTROL_BACKOFF", Backoff(first=0))
    client, service = controlled(ServiceRequestError("the answer was lost"), refused(404))
    await service.stop("r")
    assert len(client.asked) == 2


async def test_a_recording_that_is_not_there_at_the_first_try_cannot_be_stopped() -> None:
    _, service = controlled(refused(404))
    with pytest.raises(ServiceError, match="no"):
        await service.stop("r")
