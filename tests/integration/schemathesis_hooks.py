"""Gives Schemathesis a call that exists, so that it gets past the first check; loaded by SCHEMATHESIS_HOOKS."""

from __future__ import annotations

import os
from typing import Any

import schemathesis

SERVER_CALL_ID = os.environ["SERVER_CALL_ID"]
LOCATORS = ("serverCallId", "groupCallId", "roomId", "callConnectionId")


@schemathesis.hook
def map_body(_: schemathesis.HookContext, body: Any) -> Any:
    """Name the call that exists in place of one that was made up, and record nothing unless it is resumed."""
    located = [name for name in LOCATORS if name in body] if isinstance(body, dict) else []
    if len(located) != 1 or not isinstance(body[located[0]], str) or not body[located[0]]:
        return body
    paused = {"pauseOnStart": True} if isinstance(body.get("pauseOnStart", True), bool) else {}
    others = {name: value for name, value in body.items() if name not in LOCATORS}
    return {**others, "serverCallId": SERVER_CALL_ID, **paused}
