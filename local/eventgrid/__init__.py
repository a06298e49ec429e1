"""Event Grid on one machine: topics, subscriptions with their handshakes, retries on emulated time, dead letters."""

from __future__ import annotations

from local.eventgrid.emulator import EventGridEmulator
from local.eventgrid.errors import EventGridError, HandshakeError, StartError, UnknownResourceError
from local.eventgrid.options import EventGridOptions
from local.eventgrid.retries import EndpointType
from local.eventgrid.schemas import EventSchema, TopicKind
from local.eventgrid.subscriptions import (
    DeadLetterDestination,
    Disorder,
    EventFilter,
    RetryPolicy,
    SubscriptionSettings,
)

__all__ = [
    "DeadLetterDestination",
    "Disorder",
    "EndpointType",
    "EventFilter",
    "EventGridEmulator",
    "EventGridError",
    "EventGridOptions",
    "EventSchema",
    "HandshakeError",
    "RetryPolicy",
    "StartError",
    "SubscriptionSettings",
    "TopicKind",
    "UnknownResourceError",
]
