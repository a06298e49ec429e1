"""The command ``eventgrid``, which runs the emulator alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from local.eventgrid.cli.terminal import finish, show
from local.eventgrid.errors import StartError

if TYPE_CHECKING:
    from local.eventgrid.emulator import EventGridEmulator


def run(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")] = 7090,
    topic: Annotated[list[str] | None, typer.Option(help="A topic to begin with; may be repeated.")] = None,
    clock_rate: Annotated[float, typer.Option(help="Emulated seconds a real second.")] = 1.0,
    delivery_timeout: Annotated[float, typer.Option(help="Real seconds a subscriber may take to answer.")] = 30.0,
    concurrency: Annotated[int, typer.Option(help="Deliveries under way at once, for each subscription.")] = 16,
    jitter: Annotated[float, typer.Option(help="Share of a retry delay added at random, 0 to 1.")] = 0.0,
) -> None:
    """Run the Event Grid emulator alone, until Ctrl-C."""
    from local.eventgrid.clock import EmulatedClock  # noqa: PLC0415 - keeps --help quick
    from local.eventgrid.emulator import EventGridEmulator  # noqa: PLC0415
    from local.eventgrid.options import EventGridOptions  # noqa: PLC0415

    async def serve() -> None:
        try:
            options = EventGridOptions(
                host=host,
                port=port,
                delivery_timeout=delivery_timeout,
                concurrent_deliveries=concurrency,
                jitter=jitter,
            )
            emulator = EventGridEmulator(options, clock=EmulatedClock(clock_rate))
        except ValueError as error:
            raise StartError(f"The Event Grid emulator cannot start: {error}.") from error
        async with emulator:
            await _create_topics(emulator, topic or [])
            await _until_signal()

    finish(serve())


async def _create_topics(emulator: EventGridEmulator, names: list[str]) -> None:
    show(f"Event Grid emulator at {emulator.endpoint}")
    for name in names:
        await emulator.create_topic(name)
        show(f"topic {name}: {emulator.topic_endpoint(name)}  aeg-sas-key: {emulator.topic_key(name)}")


async def _until_signal() -> None:
    import signal  # noqa: PLC0415 - keeps --help quick

    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    await asked.wait()
