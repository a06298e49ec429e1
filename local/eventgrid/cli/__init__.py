"""The commands ``eventgrid``, ``topic``, ``subscription`` and ``events``."""

from __future__ import annotations

import typer

from local.eventgrid.cli import events, faults, standalone, subscriptions, topics


def register(app: typer.Typer) -> None:
    """Add the Event Grid emulator's commands to an application."""
    app.command("eventgrid")(standalone.run)
    topic = typer.Typer(no_args_is_help=True, help="Topics of the Event Grid emulator.")
    topic.command("create")(topics.topic_create)
    topic.command("list")(topics.topic_list)
    topic.command("show")(topics.topic_show)
    topic.command("delete")(topics.topic_delete)
    fault = typer.Typer(no_args_is_help=True, help="What goes wrong when a topic is published to.")
    fault.command("add")(faults.fault_add)
    fault.command("list")(faults.fault_list)
    fault.command("clear")(faults.fault_clear)
    topic.add_typer(fault, name="fault")
    app.add_typer(topic, name="topic")
    subscription = typer.Typer(no_args_is_help=True, help="Event subscriptions of the Event Grid emulator.")
    subscription.command("create")(subscriptions.subscription_create)
    subscription.command("list")(subscriptions.subscription_list)
    subscription.command("show")(subscriptions.subscription_show)
    subscription.command("delete")(subscriptions.subscription_delete)
    app.add_typer(subscription, name="subscription")
    event = typer.Typer(no_args_is_help=True, help="Publish events and see what became of them.")
    event.command("publish")(events.events_publish)
    event.command("pending")(events.events_pending)
    event.command("metrics")(events.events_metrics)
    app.add_typer(event, name="events")
