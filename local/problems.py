"""What prevents the local stack from working, reported at the terminal."""

from __future__ import annotations


class LocalProblem(Exception):  # noqa: N818 - it is a problem of the setup rather than an error of the program
    """Something that the user can fix.

    The message is one sentence with the problem and the fix, and is shown without a traceback.
    """
