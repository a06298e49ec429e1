"""The blob a file is copied into: what is staged, what is committed, and whether what is there is the same file."""

from __future__ import annotations

import asyncio
import base64
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, ContentSettings

from shared.core.azure_errors import error_code, storage_errors_translated
from shared.core.errors import BlocksLost
from shared.core.retry_policy import STORAGE_BACKOFF, THROTTLED, retry_after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from azure.storage.blob import BlobProperties
    from azure.storage.blob.aio import BlobClient

    from shared.upload.buffers import Block
    from shared.upload.digests import Digests, Hashing

_READ_AHEAD = 3


class AlreadyThere(Exception):  # noqa: N818 - not a failure
    """A blob is committed under the name; within the copy engine only."""


@dataclass(frozen=True, slots=True)
class Existing:
    """A committed blob.

    Attributes
    ----------
    size
        Its bytes.
    document_id
        The document that it was copied from; None if it was not made by a copy.
    md5, sha256
        Hex digests; None where they are not stored with it.
    etag
        Of this state of the blob.
    content_type
        As stored.
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
    document_id
        What is copied into it.
    content_type
        Stored with it.
    refused
        Told whenever storage asks to be spared, including when the client's own retries take care of it.
    """

    def __init__(self, blob: BlobClient, *, document_id: str, content_type: str, refused: Callable[[], None]) -> None:
        self._blob = blob
        self._document_id = quote(document_id, safe="")
        self._content_type = content_type
        self._refused = refused

    async def look(self) -> list[BlobBlock]:
        """Return the blocks that are staged: one request.

        Raises
        ------
        AlreadyThere
            The blob is committed.
        """
        found: tuple[list[BlobBlock], list[BlobBlock]] | None = None

        async def look() -> None:
            nonlocal found
            try:
                found = await self._blob.get_block_list("all", retry_hook=self._on_retry)
            except ResourceNotFoundError as error:
                if error_code(error) == "ContainerNotFound":
                    raise

        await self._persist(look, "list staged blocks")
        if found is None:
            return []
        committed, staged = found
        # The service answers 404 for a name that has neither; a blob made by Put Blob has no blocks at all.
        if committed or not staged:
            raise AlreadyThere
        return staged

    async def put(self, content: bytes, digests: Digests) -> None:
        """Make the blob in one request.

        Raises
        ------
        AlreadyThere
            The blob is committed.
        """
        encoded = base64.b64encode(digests.md5).decode()

        async def put() -> None:
            await self._blob.upload_blob(
                content,
                length=len(content),
                overwrite=False,
                content_settings=self._settings(digests.md5),
                metadata=self._metadata(digests.sha256),
                headers={"Content-MD5": encoded},
                raw_request_hook=_in_slices,
                retry_hook=self._on_retry,
            )

        await self._persist(put, "write the blob")

    async def stage(self, block: Block, name: str, md5: bytes) -> None:
        """Stage a block; the service checks its MD5."""
        encoded = base64.b64encode(md5).decode()

        async def stage() -> None:
            await self._blob.stage_block(
                name,
                block,  # type: ignore[arg-type]  # the SDK passes an async iterable on to its transport as it is
                length=block.length,
                headers={"Content-MD5": encoded},
                retry_hook=self._on_retry,
            )

        await self._persist(stage, f"stage block {block.index}")

    async def commit(self, names: Sequence[str], digests: Digests | None) -> str:
        """Make the blob of staged blocks, and return its ETag. Without `digests` they are to be added later.

        Raises
        ------
        AlreadyThere
            The blob is committed.
        BlocksLost
            Some block is not staged any more.
        """
        committed: dict[str, Any] = {}

        async def commit() -> None:
            committed.update(
                await self._blob.commit_block_list(
                    [BlobBlock(name) for name in names],
                    content_settings=self._settings(digests.md5 if digests else None),
                    metadata=self._metadata(digests.sha256 if digests else None),
                    match_condition=MatchConditions.IfMissing,
                    retry_hook=self._on_retry,
                )
            )

        await self._persist(commit, "commit the blob")
        return str(committed["etag"])

    async def existing(self) -> Existing:
        """Return what is committed: one request."""
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

    async def read_back(self, digests: Digests, hashing: Hashing, size: int, step: int, etag: str) -> None:
        """Add to `digests` what they lack, from the committed blob; reads a few pieces of `step` bytes ahead."""
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
                await hashing.extend(digests, [piece])
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def describe(self, digests: Digests, etag: str, content_type: str | None) -> None:
        """Store the digests with a committed blob that lacks them.

        A container that keeps its blobs unchangeable refuses that; the manifest holds the digests all the same.
        """
        settings = self._settings(digests.md5)
        settings.content_type = content_type or self._content_type
        with storage_errors_translated("storage did not store the digests"):
            try:
                changed = await self._blob.set_http_headers(
                    settings, etag=etag, match_condition=MatchConditions.IfNotModified
                )
                await self._blob.set_blob_metadata(
                    self._metadata(digests.sha256),
                    etag=changed["etag"],
                    match_condition=MatchConditions.IfNotModified,
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

    async def _persist(self, action: Callable[[], Any], what: str) -> None:
        """Do what the client's own retries do not: come again after 429 and after a body that arrived damaged."""
        for failures in itertools.count(1):
            with storage_errors_translated(f"storage did not {what}"):
                try:
                    await action()
                except HttpResponseError as error:
                    delay = _retry_delay(error, failures)
                    _judge(error)
                    if error.status_code in THROTTLED:
                        self._refused()
                    if delay is None:
                        raise
                else:
                    return
            await asyncio.sleep(delay)

    def _on_retry(self, *, response: Any = None, **_: Any) -> None:
        if response is not None and response.status_code in THROTTLED:
            self._refused()

    def _settings(self, md5: bytes | None) -> ContentSettings:
        return ContentSettings(content_type=self._content_type, content_md5=bytearray(md5) if md5 else None)

    def _metadata(self, sha256: bytes | None) -> dict[str, str]:
        return {"documentid": self._document_id, **({"sha256": sha256.hex()} if sha256 else {})}


class _Slices:
    """Bytes as a request's body, written a slab at a time and again at each retry."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        for offset in range(0, len(self._content), 256 * 1024):
            yield self._content[offset : offset + 256 * 1024]


def _in_slices(request: Any) -> None:
    # aiohttp warns of bodies above 1 MiB that come as one piece of bytes, and Put Blob's client takes no other.
    body = request.http_request.data
    if isinstance(body, bytes) and len(body) > 1024 * 1024:
        request.http_request.data = _Slices(body)


def _judge(error: HttpResponseError) -> None:
    code = error_code(error)
    if code in {"InvalidBlockList", "InvalidBlockId"}:
        raise BlocksLost("blocks that were staged are gone") from error
    taken = code in {"BlobAlreadyExists", "ConditionNotMet"}
    if taken and isinstance(error, ResourceExistsError | ResourceModifiedError):
        raise AlreadyThere from error


def _retry_delay(error: HttpResponseError, failures: int) -> float | None:
    if error.status_code in THROTTLED or error_code(error) == "Md5Mismatch":
        headers = getattr(error.response, "headers", {})
        return STORAGE_BACKOFF.delay(failures, retry_after(headers.get("Retry-After"), datetime.now(UTC)))
    return None
