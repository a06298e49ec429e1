"""What keeps the emulator, or a command that uses it, from working."""

from __future__ import annotations


class AcsEmulatorError(Exception):
    """Something that the person at the terminal can fix.

    The message is one sentence that names the cause and the fix; show it without a traceback.
    """
