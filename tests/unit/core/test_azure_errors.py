from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from azure.storage.blob import StorageErrorCode

from shared.core.azure_errors import error_code, reason, storage_errors_translated
from shared.core.errors import StorageUnavailable

SECRET = "sig=c2VjcmV0"


def refused(status: int, code: Any = None, **headers: str) -> HttpResponseError:
    response: Any = SimpleNamespace(status_code=status, reason="no", headers=headers, request=None)
    error = HttpResponseError(f"{SECRET} was refused", response=response)
    if code:
        error.error_code = code  # type: ignore[attr-defined]  # as the SDKs of Storage do
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (refused(409, "BlobAlreadyExists"), "409 BlobAlreadyExists"),
        (refused(404, StorageErrorCode.CONTAINER_NOT_FOUND), "404 ContainerNotFound"),
        (refused(403, **{"x-ms-error-code": "AuthorizationFailure"}), "403 AuthorizationFailure"),
        (refused(503), "503"),
        (ServiceRequestError(SECRET), "ServiceRequestError"),
    ],
)
def test_a_failure_is_described_by_status_and_code_without_its_text(error: Exception, expected: str) -> None:
    assert reason(error) == expected
    with pytest.raises(StorageUnavailable) as raised, storage_errors_translated("storage did not list"):
        raise error
    assert str(raised.value) == f"storage did not list: {expected}"
    assert raised.value.__suppress_context__
    assert raised.value.__cause__ is None


def test_an_error_without_a_code_has_none() -> None:
    assert error_code(refused(503)) is None


def test_errors_that_are_not_the_sdks_pass() -> None:
    with pytest.raises(KeyError), storage_errors_translated():
        raise KeyError("x")
