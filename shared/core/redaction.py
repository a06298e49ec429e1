"""The last line before a secret gets into a log or an answer: what looks like a credential is cut out of texts.

The app writes none itself. But services explain refusals, and some say back the signature that they refuse.
"""

from __future__ import annotations

import re

_CREDENTIAL = re.compile(
    r"(signature=|sharedkey(?:lite)?\s+[^\s:]+:|(?:access|account|sharedaccess)key=|\bsig=|\bbearer\s+)"
    r"[^\s;&,'\"<>]+",
    re.IGNORECASE,
)
_HIDDEN = r"\1[hidden]"


def redacted(text: str) -> str:
    """Return `text` without the values of signatures, keys and tokens."""
    return _CREDENTIAL.sub(_HIDDEN, text)
