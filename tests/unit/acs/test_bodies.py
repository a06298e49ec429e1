from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.acs.bodies import PERIOD, Body, Filling, Piece, padded

if TYPE_CHECKING:
    from pathlib import Path


def whole(body: Body) -> bytes:
    return b"".join(body.read(7))


@pytest.fixture(scope="module")
def filling(tmp_path_factory: pytest.TempPathFactory) -> Filling:
    return Filling(tmp_path_factory.mktemp("filling"))


@given(st.lists(st.binary(max_size=20), max_size=6), st.integers(0, 130), st.integers(0, 130))
def test_a_part_is_the_same_bytes_as_a_slice(pieces: list[bytes], start: int, stop: int) -> None:
    data = b"".join(pieces)
    body = Body(tuple(Piece(len(piece), data=piece) for piece in pieces))
    assert whole(body.part(start, stop)) == data[start:stop]


def test_pieces_of_files_and_bytes_are_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    body = Body((Piece(2, data=b"ab"), Piece(5, path, 3), Piece(1, data=b"z")))
    assert whole(body) == b"ab34567z"
    assert whole(body.part(1, 4)) == b"b34"
    assert body.sha256() == hashlib.sha256(b"ab34567z").hexdigest()


@pytest.mark.parametrize("media_format", ["mp4", "wav", "mp3"])
@pytest.mark.parametrize("extra", [21, 22, 1000, 65_537])
def test_padding_gives_exactly_the_size_asked_for(
    tmp_path: Path, filling: Filling, media_format: str, extra: int
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"RIFF\0\0\0\0WAVE" + bytes(100))
    body = padded(path, media_format, 112 + extra, filling, 5)
    assert body.length == len(whole(body)) == 112 + extra


@pytest.mark.parametrize("media_format", ["mp4", "mp3"])
def test_padding_of_gigabytes_is_never_held_in_memory(tmp_path: Path, filling: Filling, media_format: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(100))
    size = 6 * 1024**3 + 1
    body = padded(path, media_format, size, filling, 5)
    assert body.length == size
    assert all(piece.length <= PERIOD for piece in body.pieces)


def test_no_two_blocks_of_the_padding_are_alike(tmp_path: Path, filling: Filling) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(100))
    body = padded(path, "mp4", 64 * 1024**2, filling, 5)
    block = 1024**2
    digests = [body.part(at, at + block).sha256() for at in range(0, body.length, block)]
    assert len(set(digests)) == len(digests)
    assert all(before != after for before, after in pairwise(digests))


def test_a_size_below_the_media_is_refused_with_the_least_one(tmp_path: Path, filling: Filling) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(100))
    with pytest.raises(ValueError, match=r"sizeBytes must be 100.*at least 108"):
        padded(path, "mp4", 104, filling, 0)
