"""What can be set when the emulator starts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True, kw_only=True)
class EventGridOptions:
    """Options of the emulator; the defaults are the documented figures of the service.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes any free one.
    delivery_timeout
        Real seconds a subscriber may take to answer.
    concurrent_deliveries
        Requests under way at once, for each subscription.
    jitter
        Share of a retry delay that is added at random, 0 to 1. The service adds a little; 0 is repeatable.
    max_publish_bytes
        Largest request a topic takes.
    max_pending_bytes
        JSON bytes of undelivered events held in memory; a publisher gets 503 beyond that.
    dead_letter_delay
        Emulated seconds between the last attempt and the dead letter.
    dead_letter_patience
        Emulated seconds for which a failing write of a dead letter is tried again before the event is dropped.
    dead_letter_retry
        Emulated seconds between two such writes (not documented for the service).
    dead_letters_a_blob
        Most events in one dead-letter blob (not documented for the service).
    handshake_attempts
        How often a validation handshake that times out is tried in all. The documentation says that it "may" be tried
        again and not how often; 2 by default.
    handshake_retry
        Real seconds after which it is tried again.
    manual_validation_seconds
        Real seconds in which a validation URL has to be opened.
    subscription_deleted_event
        The header ``aeg-event-type`` of the event that a webhook gets when its subscription is deleted; empty to send
        none. The documentation has ``SubscriptionDeletion``; the Functions host answers 202 to ``Unsubscribe`` and 400
        to others. Whether the service repeats a failed one is not documented; the emulator sends it once.
    failures_kept
        Failures remembered for each subscription.
    """

    host: str = "127.0.0.1"
    port: int = 7090
    delivery_timeout: float = 30.0
    concurrent_deliveries: int = 16
    jitter: float = 0.0
    max_publish_bytes: int = 1024 * 1024
    max_pending_bytes: int = 256 * 1024 * 1024
    dead_letter_delay: float = 300.0
    dead_letter_patience: float = 4 * 3600.0
    dead_letter_retry: float = 60.0
    dead_letters_a_blob: int = 100
    handshake_attempts: int = 2
    handshake_retry: float = 5.0
    manual_validation_seconds: float = 600.0
    subscription_deleted_event: str = "SubscriptionDeletion"
    failures_kept: int = 100

    def __post_init__(self) -> None:
        for name in (
            "delivery_timeout",
            "concurrent_deliveries",
            "dead_letter_retry",
            "dead_letters_a_blob",
            "handshake_attempts",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"the option {name} has to be above zero, not {getattr(self, name)}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"the option jitter is a share from 0 to 1, not {self.jitter}")
