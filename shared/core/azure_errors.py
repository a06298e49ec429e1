"""Translates errors of Azure's SDKs. Their texts are never passed on: they can hold parts of a signature."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError

from shared.core.errors import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

STORAGE_FAILED = "the app's storage refused, or did not answer"


def error_code(error: BaseException) -> str | None:
    """Return the service's error code, such as `BlobAlreadyExists`; None where it sent none."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    code = getattr(error, "error_code", None) or headers.get("x-ms-error-code")  # not every SDK reads the header
    return str(getattr(code, "value", code)) if code else None


def reason(error: BaseException) -> str:
    """Return status and error code, as in `409 BlobAlreadyExists`; the exception's class where there was no answer."""
    parts = (getattr(error, "status_code", None), error_code(error))
    return " ".join(str(part) for part in parts if part) or type(error).__name__


@contextmanager
def storage_errors_translated(failure: str = STORAGE_FAILED) -> Iterator[None]:
    """Raise `StorageUnavailable` for a Storage SDK's errors; `failure` begins its message."""
    try:
        yield
    except AzureError as error:
        raise StorageUnavailable(f"{failure}: {reason(error)}") from None
