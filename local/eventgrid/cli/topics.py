"""The commands under ``topic``."""

from __future__ import annotations

from typing import Annotated

import typer

from local.eventgrid.cli.terminal import DEFAULT_BASE, Base, Json, ask, show, show_json, show_rows


def topic_create(
    name: str,
    kind: Annotated[str, typer.Option(help="system or custom.")] = "system",
    input_schema: Annotated[str, typer.Option(help="EventGridSchema or CloudEventSchemaV1_0.")] = "EventGridSchema",
    resource_id: Annotated[str, typer.Option(help="Azure id that events carry as their topic.")] = "",
    eventgrid: Base = DEFAULT_BASE,
) -> None:
    """Create a topic and print its endpoint."""
    body = {"name": name, "kind": kind, "inputSchema": input_schema, "resourceId": resource_id}
    show(ask(eventgrid, "POST", "/control/topics", body)["endpoint"])


def topic_list(eventgrid: Base = DEFAULT_BASE, as_json: Json = False) -> None:
    """List the topics."""
    topics = ask(eventgrid, "GET", "/control/topics")
    show_rows(topics, ("name", "kind", "inputSchema", "endpoint"), as_json)


def topic_show(name: str, eventgrid: Base = DEFAULT_BASE) -> None:
    """Show a topic with its key."""
    shown = ask(eventgrid, "GET", f"/control/topics/{name}")
    show_json({**shown, **ask(eventgrid, "GET", f"/control/topics/{name}/key")})


def topic_delete(name: str, eventgrid: Base = DEFAULT_BASE) -> None:
    """Delete a topic with its subscriptions."""
    ask(eventgrid, "DELETE", f"/control/topics/{name}")
