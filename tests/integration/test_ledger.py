"""The ledger against Azurite: concurrent writers lose nothing, and whatever ids hold, they come back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from azure.data.tables.aio import TableServiceClient

from shared.core.blob_names import safe_name
from shared.storage.claims import Claims
from shared.storage.ledger import Ledger, Operation, Report
from shared.storage.table import Table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.data.tables.aio import TableClient

    from local.azurite import Azurite

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.fixture
async def table(azurite: Azurite) -> AsyncIterator[TableClient]:
    """A table that is not there yet."""
    async with TableServiceClient.from_connection_string(azurite.connection_string) as tables:
        yield tables.get_table_client(f"t{uuid4().hex}")


@pytest.fixture
async def ledger(table: TableClient) -> Ledger:
    return Ledger(Table(table), now=lambda: NOW)


@pytest.fixture
async def claims(table: TableClient) -> Claims:
    return Claims(Table(table))


async def test_nothing_is_known_before_the_table_is_there(ledger: Ledger, claims: Claims) -> None:
    assert not await ledger.read("unknown")
    assert await claims.get("call", "unknown") is None
    assert [name async for name in ledger.opened()] == []
    await ledger.close("unknown")


async def test_the_table_is_made_on_first_use_by_ten_at_once(ledger: Ledger) -> None:
    await asyncio.gather(*(ledger.learn("recording", **{f"fact{i}": str(i)}) for i in range(10)))
    assert (await ledger.read("recording")).known == {f"fact{i}": str(i) for i in range(10)}


async def test_concurrent_writers_lose_nothing(table: TableClient) -> None:
    """As two instances would: each has a client of its own state, and they write the same recording."""
    await Ledger(Table(table)).learn("recording", recordingId="id")

    async def writer(number: int) -> None:
        ledger = Ledger(Table(table), now=lambda: NOW + timedelta(seconds=number))
        await ledger.learn("recording", **{f"fact{number}": "known"})
        await ledger.record("recording", Operation.PAUSE, by=f"writer {number}")
        await ledger.progress("recording", number, number * 10, 1000)

    await asyncio.gather(*(writer(number) for number in range(20)))
    facts = await Ledger(Table(table)).read("recording")
    assert facts.text("recordingId") == "id"
    assert {name for name in facts.known if name.startswith("fact")} == {f"fact{number}" for number in range(20)}
    assert [entry.by for entry in facts.transitions] == [f"writer {number}" for number in range(20)]
    assert {index: chunk.bytes_done for index, chunk in facts.chunks.items()} == {n: n * 10 for n in range(20)}


async def test_a_transition_that_is_reported_twice_under_a_key_is_written_once(ledger: Ledger) -> None:
    reports = [ledger.record("recording", Report.ACTIVE, key="event/1=") for _ in range(5)]
    await asyncio.gather(*reports)
    assert len((await ledger.read("recording")).transitions) == 1


async def test_transitions_come_back_in_the_order_of_their_times(ledger: Ledger) -> None:
    for minutes in (3, 1, 2):
        await ledger.record("recording", Operation.PAUSE, at=NOW + timedelta(minutes=minutes))
    times = [entry.at for entry in (await ledger.read("recording")).transitions]
    assert times == [NOW + timedelta(minutes=minutes) for minutes in (1, 2, 3)]


async def test_sizes_beyond_32_bits_and_every_kind_of_fact_come_back(ledger: Ledger) -> None:
    await ledger.learn("recording", text="ü\u2028 \U0001f600 '\"", size=2**40, yes=True, ratio=0.5, nothing=None)
    await ledger.progress("recording", 7, 2**33, 2**40)
    facts = await ledger.read("recording")
    assert facts.known == {"text": "ü\u2028 \U0001f600 '\"", "size": 2**40, "yes": True, "ratio": 0.5}
    assert (facts.chunks[7].bytes_done, facts.chunks[7].bytes_total) == (2**33, 2**40)


@pytest.mark.parametrize(
    "odd", ["a/b", "a\\b", "a#b", "a?b", "it's", "a%2Fb", "\x7f", "ä", "=+=", "..", "", "x" * 3000, "\ud800", "'; drop"]
)
async def test_ids_that_hold_anything_are_kept_apart(ledger: Ledger, claims: Claims, odd: str) -> None:
    name = safe_name(odd)
    await ledger.learn(name, recordingId="odd")
    await ledger.record(name, Operation.START, key=odd)
    assert await claims.claim("call", odd, by="first") is None
    assert await claims.claim("call", f"{odd}.", by="another") is None
    assert (await claims.claim("call", odd, by="second") or {})["by"] == "first"
    assert (await ledger.read(name)).text("recordingId") == "odd"
    assert len((await ledger.read(name)).transitions) == 1


async def test_of_twenty_who_claim_a_key_one_is_first(claims: Claims) -> None:
    answers = await asyncio.gather(*(claims.claim("call", "c", by=str(number)) for number in range(20)))
    first = [number for number, answer in enumerate(answers) if answer is None]
    assert len(first) == 1
    assert {answer["by"] for answer in answers if answer is not None} == {str(first[0])}
    await claims.resolve("call", "c", answer="done")
    assert (await claims.claim("call", "c") or {})["answer"] == "done"


async def test_who_claims_a_key_and_loses_the_answer_is_still_first(
    table: TableClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, claims, real = Ledger(Table(table)), Claims(Table(table)), table.create_entity
    await ledger.learn("recording", made="the table")

    async def carried_out_twice(*arguments: Any, **options: Any) -> object:
        await real(*arguments, **options)
        return await real(*arguments, **options)  # the SDK's retry after a lost answer

    monkeypatch.setattr(table, "create_entity", carried_out_twice)
    assert await claims.claim("call", "c", by="first") is None
    assert await claims.claim("call", "c", by="second") == await claims.get("call", "c")
    claim = dict(await claims.get("call", "c") or {})
    assert {name: claim[name] for name in claim if name not in {"PartitionKey", "RowKey"}} == {"by": "first"}
    assert [facts async for _, facts in claims.all("call")] == [{"by": "first"}]


async def test_a_chunk_that_begins_anew_or_fails_in_passing_is_not_given_up_any_more(ledger: Ledger) -> None:
    await ledger.failed("recording", 0, 3, "cut", NOW)
    await ledger.give_up("recording", 0, "foreign")
    await ledger.begin_anew("recording", 0)
    [chunk] = (await ledger.read("recording")).chunks.values()
    assert (chunk.tries, chunk.given_up_at, chunk.next_try_at, chunk.last_error) == (0, None, None, "foreign")
    await ledger.give_up("recording", 0, "foreign")
    await ledger.failed("recording", 0, 1, "cut", NOW)
    assert (await ledger.read("recording")).chunks[0].given_up_at is None


async def test_a_key_that_is_released_can_be_claimed_again(claims: Claims) -> None:
    await claims.claim("call", "c", by="first")
    await claims.release("call", "c")
    await claims.release("call", "c")
    assert await claims.claim("call", "c", by="second") is None


async def test_a_key_that_is_claimed_and_released_all_the_time_has_one_holder_at_a_time(claims: Claims) -> None:
    """`claim` says None to the one who holds the key, never to one who saw it vanish."""
    holders = 0

    async def hold() -> None:
        nonlocal holders
        for _ in range(8):
            if await claims.claim("call", "c", by="x") is None:
                holders += 1
                assert holders == 1
                await asyncio.sleep(0)
                holders -= 1
                await claims.release("call", "c")

    await asyncio.gather(*(hold() for _ in range(4)))


async def test_open_recordings_are_listed_until_they_are_closed(ledger: Ledger) -> None:
    for name in ("b", "a", "c"):
        await ledger.open(name)
    await ledger.close("b")
    assert [name async for name in ledger.opened()] == ["a", "c"]


async def test_a_chunk_that_was_given_up_keeps_what_was_known_of_it(ledger: Ledger) -> None:
    await ledger.progress("recording", 0, 10, 20)
    await ledger.failed("recording", 0, 3, "cut", NOW)
    await ledger.give_up("recording", 0, "gone")
    [chunk] = (await ledger.read("recording")).chunks.values()
    assert (chunk.bytes_done, chunk.tries, chunk.last_error, chunk.given_up_at) == (10, 3, "gone", NOW)


async def test_a_recording_with_more_rows_than_a_page_is_read_whole(ledger: Ledger) -> None:
    """The service answers with 1,000 rows at a time."""
    gate = asyncio.Semaphore(16)

    async def write(index: int) -> None:
        async with gate:
            await ledger.progress("recording", index, index, None)

    await asyncio.gather(*(write(index) for index in range(1010)))
    assert len((await ledger.read("recording")).chunks) == 1010
