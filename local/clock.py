"""The clock that the stack's emulators share, so that retention and delivery retries pass in the right order."""

from __future__ import annotations

from local.acs.clock import EmulatedClock as Clock

__all__ = ["Clock"]
