"""Removes from texts what looks like a credential, before they are logged or answered.

The app writes none itself, but some services quote the signature that they refuse.
"""

from __future__ import annotations

import re

_CREDENTIAL = re.compile(
    r"(signature=|sharedkey(?:lite)?\s+[^\s:]+:|(?:access|account|sharedaccess)key=|\bsig=|\bbearer\s+)"
    r"[^\s;&,'\"<>]+",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """Return `text` without the values of signatures, keys and tokens."""
    return _CREDENTIAL.sub(r"\1[hidden]", text)
