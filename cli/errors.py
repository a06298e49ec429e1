"""What ends a command with a sentence instead of a traceback.

CommandError
├── UsageError       the command was called wrongly: exit code 2
└── Unreachable      what was asked gives no answer: exit code 1
"""

from __future__ import annotations


class CommandError(Exception):
    """A command cannot go on; the message says why and what to do, and holds no secret."""

    exit_code = 1


class UsageError(CommandError):
    """The command was called wrongly; the message names the option."""

    exit_code = 2


class Unreachable(CommandError):  # noqa: N818 - named for what it is
    """What was asked gives no answer."""
