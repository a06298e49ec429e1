"""What the health route says when something cannot be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.ports import free_port
from shared.app import Services

if TYPE_CHECKING:
    from local.stack import Stack


async def check(stack: Stack, **changes: str) -> dict[str, Any]:
    """The findings of an app with these settings."""
    settings = {"ACS_CONNECTION_STRING": stack.acs.connection_string, "ARCHIVE_STORAGE": stack.storage, **changes}
    services = Services.from_environment(settings)
    try:
        return {name: finding.as_json() for name, finding in (await services.health.check()).items()}
    finally:
        await services.close()


async def test_a_missing_container_is_named(stack: Stack) -> None:
    findings = await check(stack, ARCHIVE_CONTAINER="missing")
    assert findings["archiveContainer"] == {
        "status": "failed",
        "detail": "it does not exist; deploy infra/ again (azd provision), or create it",
    }
    assert findings["queue"] == findings["communicationService"] == {"status": "ok"}


async def test_a_service_that_cannot_be_reached_is_named(stack: Stack) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    findings = await check(stack, ACS_CONNECTION_STRING=f"endpoint={endpoint};accesskey=c2VjcmV0")
    assert findings["communicationService"]["status"] == "failed"
    assert "ACS_CONNECTION_STRING" in findings["communicationService"]["detail"]
    assert findings["archiveContainer"] == findings["queue"] == {"status": "ok"}


async def test_a_refused_key_is_named_and_not_shown(stack: Stack) -> None:
    findings = await check(stack, ACS_CONNECTION_STRING=f"endpoint={stack.acs.endpoint};accesskey=c2VjcmV0")
    assert findings["communicationService"]["detail"].startswith("the service answered 401")
    assert "c2VjcmV0" not in str(findings)


async def test_storage_that_cannot_be_reached_is_named(stack: Stack) -> None:
    port = free_port()
    storage = (
        "AccountName=a;AccountKey=c2VjcmV0;"
        f"BlobEndpoint=http://127.0.0.1:{port}/a;QueueEndpoint=http://127.0.0.1:{port}/a"
    )
    findings = await check(stack, ARCHIVE_STORAGE=storage)
    assert findings["archiveContainer"]["status"] == findings["queue"]["status"] == "failed"
    assert "check the address" in findings["archiveContainer"]["detail"]
    assert findings["communicationService"] == {"status": "ok"}
