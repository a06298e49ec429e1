"""The blob that a file is copied into: its staged blocks, its commit, its stored digests."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, ContentSettings

from shared.core.azure_errors import error_code, storage_errors_translated
from shared.core.errors import BlocksLost
from shared.core.retry_policy import STORAGE_BACKOFF, THROTTLED, retry_after
from shared.core.times import utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from azure.storage.blob import BlobProperties
    from azure.storage.blob.aio import BlobClient

    from shared.upload.buffers import Block
    from shared.upload.concurrency import Gate
    from shared.upload.digests import Digests

_READ_AHEAD = 3


class AlreadyThere(Exception):  # noqa: N818 - not a failure
    """A committed blob has the name; raised within the copy engine only."""


@dataclass(frozen=True, slots=True)
class Existing:
    """A committed blob.

    Attributes
    ----------
    document_id
        The document that it was copied from; None if it was not made by a copy.
    md5, sha256
        Hex digests; None where they are not stored with it.
    """

    size: int
    document_id: str | None
    md5: str | None
    sha256: str | None
    etag: str
    content_type: str | None


class BlockBlob:
    """One blob of the archive, as the copy engine uses it.

    Parameters
    ----------
    blob
        Client of the blob. Its own retries (5xx, broken connections) stay on.
    document_id, content_type
        Stored with the blob.
    gate
        Limits the uploads; `refused` is called for each 429 and 503, also where the client retries by itself.
    """

    def __init__(self, blob: BlobClient, *, document_id: str, content_type: str, gate: Gate) -> None:
        self._blob = blob
        self._document_id = quote(document_id, safe="")
        self._content_type = content_type
        self._gate = gate

    async def look(self) -> list[BlobBlock]:
        """Return the blocks that are staged, with one request; raises `AlreadyThere` if the blob is committed."""

        async def block_list() -> tuple[list[BlobBlock], list[BlobBlock]] | None:
            try:
                return await self._blob.get_block_list("all", retry_hook=self._on_retry)
            except ResourceNotFoundError as error:
                if error_code(error) == "ContainerNotFound":
                    raise
            return None

        blocks = await self._retried("list staged blocks", block_list)
        if blocks is None:
            return []
        committed, staged = blocks
        # The service answers 404 for a name that has neither; a blob made by Put Blob has no blocks at all.
        if committed or not staged:
            raise AlreadyThere
        return staged

    async def put(self, content: bytes, digests: Digests) -> None:
        """Write the blob with one request; raises `AlreadyThere` if it is committed."""
        await self._retried(
            "write the blob",
            lambda: self._blob.upload_blob(
                content,
                length=len(content),
                overwrite=False,
                content_settings=self._settings(digests.md5),
                metadata=self._metadata(digests.sha256),
                headers=_checked_by(digests.md5),
                raw_request_hook=_in_slices,
                retry_hook=self._on_retry,
            ),
        )

    async def stage(self, block: Block, name: str, md5: bytes) -> None:
        """Stage a block, when the gate permits it; the service checks its MD5."""
        async with self._gate.enter():
            await self._retried(
                f"stage block {block.index}",
                lambda: self._blob.stage_block(
                    name,
                    block,  # type: ignore[arg-type]  # the SDK passes an async iterable unchanged to its transport
                    length=block.length,
                    headers=_checked_by(md5),
                    retry_hook=self._on_retry,
                ),
            )

    async def commit(self, names: Sequence[str], digests: Digests | None) -> str:
        """Make the blob of staged blocks, and return its ETag; with None, the digests are stored later.

        Raises
        ------
        AlreadyThere
            The blob is committed.
        BlocksLost
            Some block is not staged any more.
        """
        committed = await self._retried(
            "commit the blob",
            lambda: self._blob.commit_block_list(
                [BlobBlock(name) for name in names],
                content_settings=self._settings(digests.md5 if digests else None),
                metadata=self._metadata(digests.sha256 if digests else None),
                match_condition=MatchConditions.IfMissing,
                retry_hook=self._on_retry,
            ),
        )
        return str(committed["etag"])

    async def existing(self) -> Existing:
        """Return the committed blob, with one request."""
        with storage_errors_translated("storage did not look at the blob"):
            properties: BlobProperties = await self._blob.get_blob_properties()
        md5 = properties.content_settings.content_md5
        metadata = {key.lower(): value for key, value in (properties.metadata or {}).items()}
        return Existing(
            size=properties.size,
            document_id=metadata.get("documentid"),
            md5=bytes(md5).hex() if md5 else None,
            sha256=metadata.get("sha256"),
            etag=properties.etag,
            content_type=properties.content_settings.content_type,
        )

    def is_mine(self, existing: Existing) -> bool:
        """Whether a blob was copied from this document."""
        return existing.document_id == self._document_id

    async def read_back(self, digests: Digests, size: int, step: int, etag: str) -> None:
        """Add the bytes after `digests.position` from the committed blob; reads a few pieces of `step` bytes ahead."""
        offsets = iter(range(digests.position, size, step))
        ahead: list[asyncio.Task[bytes]] = []

        def fetch() -> None:
            offset = next(offsets, None)
            if offset is not None:
                ahead.append(asyncio.create_task(self._fetch(offset, min(step, size - offset), etag)))

        try:
            for _ in range(_READ_AHEAD):
                fetch()
            while ahead:
                piece = await ahead.pop(0)
                fetch()
                await digests.extend([piece])
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def describe(self, digests: Digests, etag: str, content_type: str | None) -> None:
        """Store the digests with a committed blob that lacks them.

        An immutable container refuses that; the manifest has the digests in any case.
        """
        settings = self._settings(digests.md5)
        settings.content_type = content_type or self._content_type
        with storage_errors_translated("storage did not store the digests"):
            try:
                changed = await self._blob.set_http_headers(
                    settings, etag=etag, match_condition=MatchConditions.IfNotModified
                )
                await self._blob.set_blob_metadata(
                    self._metadata(digests.sha256), etag=changed["etag"], match_condition=MatchConditions.IfNotModified
                )
            except ResourceModifiedError:
                return  # another worker, which has read the same bytes back, was faster
            except HttpResponseError as error:
                if error.status_code != HTTPStatus.CONFLICT:
                    raise

    async def _fetch(self, offset: int, length: int, etag: str) -> bytes:
        with storage_errors_translated("storage did not read the blob back"):
            stream = await self._blob.download_blob(
                offset, length, etag=etag, match_condition=MatchConditions.IfNotModified, max_concurrency=1
            )
            return bytes(await stream.readall())

    async def _retried[T](self, what: str, action: Callable[[], Awaitable[T]]) -> T:
        """Retry after 429 and after a damaged body, which the client's own retries do not."""
        failures = 0
        while True:
            failures += 1
            with storage_errors_translated(f"storage did not {what}"):
                try:
                    return await action()
                except HttpResponseError as error:
                    delay = _retry_delay(error, failures)
                    _raise_expected(error)
                    if error.status_code in THROTTLED:
                        self._gate.refused()
                    if delay is None:
                        raise
            await asyncio.sleep(delay)

    def _on_retry(self, *, response: Any = None, **_: Any) -> None:
        if response is not None and response.status_code in THROTTLED:
            self._gate.refused()

    def _settings(self, md5: bytes | None) -> ContentSettings:
        return ContentSettings(content_type=self._content_type, content_md5=bytearray(md5) if md5 else None)

    def _metadata(self, sha256: bytes | None) -> dict[str, str]:
        return {"documentid": self._document_id, **({"sha256": sha256.hex()} if sha256 else {})}


class _Slices:
    """Bytes as a request's body, written in slices, and again at each retry."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        for offset in range(0, len(self._content), 256 * 1024):
            yield self._content[offset : offset + 256 * 1024]


def _in_slices(request: Any) -> None:
    # aiohttp warns of a body above 1 MiB that is one bytes object, and the client of Put Blob accepts no other.
    body = request.http_request.data
    if isinstance(body, bytes) and len(body) > 1024 * 1024:
        request.http_request.data = _Slices(body)


def _checked_by(md5: bytes) -> dict[str, str]:
    return {"Content-MD5": base64.b64encode(md5).decode()}


def _raise_expected(error: HttpResponseError) -> None:
    code = error_code(error)
    if code in {"InvalidBlockList", "InvalidBlockId"}:
        raise BlocksLost("blocks that were staged are gone") from error
    taken = code in {"BlobAlreadyExists", "ConditionNotMet"}
    if taken and isinstance(error, ResourceExistsError | ResourceModifiedError):
        raise AlreadyThere from error


def _retry_delay(error: HttpResponseError, failures: int) -> float | None:
    if error.status_code in THROTTLED or error_code(error) == "Md5Mismatch":
        headers = getattr(error.response, "headers", {})
        return STORAGE_BACKOFF.delay(failures, retry_after(headers.get("Retry-After"), utc_now()))
    return None
