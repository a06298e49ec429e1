"""Bodies of any size that are never held in memory: pieces of files, a few bytes, and generated filling.

`padded` brings a media file to an exact size and keeps it playable. The filling comes from one file of a prime
length, repeated, so that a block which lands in the wrong place shows.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Length of the filling's period: the greatest prime below 16 MiB.
PERIOD = 16_777_213

_READ = 1 << 20
_ID3_LIMIT = (1 << 28) - 1
_RIFF_LIMIT = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Piece:
    """`length` bytes: from `offset` on in the file at `path`, or `data` itself where there is no path."""

    length: int
    path: Path | None = None
    offset: int = 0
    data: bytes = b""

    def cut(self, start: int, stop: int) -> Piece:
        """Return the bytes from `start` up to `stop` of this piece."""
        if self.path is None:
            return Piece(stop - start, data=self.data[start:stop])
        return Piece(stop - start, self.path, self.offset + start)


@dataclass(frozen=True, slots=True)
class Body:
    """Pieces, one after the other."""

    pieces: tuple[Piece, ...]

    @property
    def length(self) -> int:
        """Length in bytes."""
        return sum(piece.length for piece in self.pieces)

    @classmethod
    def of_file(cls, path: Path) -> Body:
        """Return the whole file as a body."""
        return cls((Piece(path.stat().st_size, path),))

    @classmethod
    def of_bytes(cls, data: bytes) -> Body:
        """Return a body of these bytes."""
        return cls((Piece(len(data), data=data),))

    def part(self, start: int, stop: int) -> Body:
        """Return the bytes from `start` up to `stop`."""
        pieces = []
        position = 0
        for piece in self.pieces:
            low, high = max(start - position, 0), min(stop - position, piece.length)
            if high > low:
                pieces.append(piece.cut(low, high))
            position += piece.length
        return Body(tuple(pieces))

    def read(self, size: int = _READ) -> Iterator[bytes]:
        """Yield the bytes in blocks of at most `size`."""
        for piece in self.pieces:
            if piece.path is None:
                yield from (piece.data[i : i + size] for i in range(0, piece.length, size))
                continue
            with piece.path.open("rb") as file:
                file.seek(piece.offset)
                remaining = piece.length
                while remaining > 0 and (block := file.read(min(size, remaining))):
                    remaining -= len(block)
                    yield block

    def sha256(self) -> str:
        """Return the hex SHA-256 of all bytes."""
        digest = hashlib.sha256()
        for block in self.read():
            digest.update(block)
        return digest.hexdigest()


class Filling:
    """The file that padding is taken from.

    Parameters
    ----------
    folder
        Where it is kept; it is made when first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"filling-{PERIOD}.bin"

    def pieces(self, length: int, phase: int) -> list[Piece]:
        """Return `length` bytes of filling that begin `phase` bytes into its period."""
        self._make()
        pieces = []
        position = phase % PERIOD
        while length > 0:
            taken = min(length, PERIOD - position)
            pieces.append(Piece(taken, self._path, position))
            length -= taken
            position = 0
        return pieces

    def _make(self) -> None:
        if self._path.exists():
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(f".{secrets.token_hex(8)}.tmp")
        temporary.write_bytes(np.random.default_rng(20260312).bytes(PERIOD))
        temporary.replace(self._path)


def padded(path: Path, media_format: str, size: int, filling: Filling, phase: int) -> Body:
    """Return the media file at `path` as a body of exactly `size` bytes that still plays.

    mp4 gets a `free` box behind it, wav a `JUNK` chunk, mp3 ID3v2 tags before it.

    Parameters
    ----------
    phase
        Where in the filling to begin: another one for each file makes files of one size differ.

    Raises
    ------
    ValueError
        When the media alone is larger, or so little smaller that no padding fits, or the format cannot be so large.
    """
    natural = path.stat().st_size
    if size == natural:
        return Body.of_file(path)
    least = natural + {"mp4": 8, "wav": 9, "mp3": 21}[media_format]
    if size < least:
        raise ValueError(f"sizeBytes must be {natural}, the size of the media without padding, or at least {least}")
    extra = size - natural
    file = Piece(natural, path)
    match media_format:
        case "mp4":
            return Body((file, *_free_box(extra, filling, phase)))
        case "wav":
            return _padded_wav(path, natural, size, filling, phase)
        case _:
            return Body((*_id3_tags(extra, filling, phase), file))


def _free_box(extra: int, filling: Filling, phase: int) -> list[Piece]:
    large = extra > 0xFFFF_FFFF
    header = struct.pack(">I4sQ", 1, b"free", extra) if large else struct.pack(">I4s", extra, b"free")
    return [Piece(len(header), data=header), *filling.pieces(extra - len(header), phase)]


def _padded_wav(path: Path, natural: int, size: int, filling: Filling, phase: int) -> Body:
    if size - 8 > _RIFF_LIMIT:
        raise ValueError(f"sizeBytes must be at most {_RIFF_LIMIT + 8} for wav")
    # A RIFF chunk has an even length; where the file shall be odd, one byte follows after its end.
    odd = (size - natural) % 2
    junk = size - natural - 8 - odd
    with path.open("rb") as file:
        head = bytearray(file.read(12))
    head[4:8] = struct.pack("<I", natural - 8 + 8 + junk)
    header = struct.pack("<4sI", b"JUNK", junk)
    return Body(
        (
            Piece(12, data=bytes(head)),
            Piece(natural - 12, path, 12),
            Piece(8, data=header),
            *filling.pieces(junk + odd, phase),
        )
    )


def _id3_tags(extra: int, filling: Filling, phase: int) -> list[Piece]:
    pieces: list[Piece] = []
    while extra > 0:
        # A tag ends at 256 MiB; the rest goes into further ones, and none may be left too short to be a tag.
        taken = extra if extra <= _ID3_LIMIT else min(_ID3_LIMIT, extra - 21)
        header = b"ID3\x04\x00\x00" + _synchsafe(taken - 10) + b"XPAD" + _synchsafe(taken - 20) + b"\x00\x00"
        pieces.append(Piece(len(header), data=header))
        pieces.extend(filling.pieces(taken - len(header), phase + extra))
        extra -= taken
    return pieces


def _synchsafe(number: int) -> bytes:
    return bytes((number >> shift) & 0x7F for shift in (21, 14, 7, 0))
