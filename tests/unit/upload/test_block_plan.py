from __future__ import annotations

import hashlib

import pytest
from azure.storage.blob import BlobBlock
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import Permanent
from shared.upload.block_plan import MAX_BLOCK_MIB, MAX_BLOCKS, MIB, BlockPlan

MD5 = hashlib.md5(b"", usedforsecurity=False).digest()


def plan(
    size: int | None = 10 * MIB, block_size: int = 4 * MIB, document: str = "doc", content: str = "a"
) -> BlockPlan:
    return BlockPlan.of(document, content, size, block_size)


def staged(name: str, size: int) -> BlobBlock:
    block = BlobBlock(name)
    block.size = size
    return block


@given(size=st.integers(1, 6 * 10**12), block_mib=st.integers(1, 100))
def test_blocks_cover_the_file_within_the_services_limits(size: int, block_mib: int) -> None:
    cut = plan(size, block_mib * MIB)
    assert cut.count is not None
    assert 1 <= cut.count <= MAX_BLOCKS
    assert cut.block_size >= block_mib * MIB
    assert (cut.count - 1) * cut.block_size + cut.length(cut.count - 1) == size
    assert 0 < cut.length(cut.count - 1) <= cut.block_size


def test_a_file_larger_than_a_block_blob_is_refused() -> None:
    with pytest.raises(Permanent):
        plan(MAX_BLOCK_MIB * MIB * MAX_BLOCKS + 1)


@given(index=st.integers(0, MAX_BLOCKS - 1), md5=st.binary(min_size=16, max_size=16), document=st.text())
def test_block_names_are_equally_long_and_short_enough(index: int, md5: bytes, document: str) -> None:
    name = plan(document=document).name(index, md5)
    assert len(name.encode()) == 61
    assert name.isascii()


def test_there_is_no_block_beyond_the_last_that_a_blob_can_have() -> None:
    with pytest.raises(Permanent, match="COPY_BLOCK_MIB"):
        plan(None).name(MAX_BLOCKS, MD5)


def test_the_same_file_is_recognised_by_any_worker() -> None:
    names = [plan().name(index, MD5) for index in range(3)]
    result = plan().recognise([staged(name, plan().length(index)) for index, name in enumerate(names)])
    assert result == dict(enumerate(names))


@pytest.mark.parametrize(
    "other",
    [plan(document="other"), plan(content="b"), plan(size=10 * MIB + 1), plan(block_size=5 * MIB), plan(size=None)],
)
def test_blocks_of_other_content_are_not_recognised(other: BlockPlan) -> None:
    assert plan().recognise([staged(other.name(0, MD5), 4 * MIB)]) == {}


def test_a_block_of_another_length_counts_as_not_staged() -> None:
    assert plan().recognise([staged(plan().name(0, MD5), 4 * MIB - 1)]) == {}


def test_a_block_with_two_contents_counts_as_not_staged() -> None:
    names = [plan().name(0, MD5), plan().name(0, bytes(16)), plan().name(1, MD5)]
    assert plan().recognise([staged(name, 4 * MIB) for name in names]) == {1: names[2]}


@pytest.mark.parametrize("name", ["", "MDAwMDAwMDA=", "x.y", "." * 61, plan().identity, f"{plan().identity}.00009.x"])
def test_blocks_with_other_names_are_ignored(name: str) -> None:
    assert plan().recognise([staged(name, 4 * MIB)]) == {}
