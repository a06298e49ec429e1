"""What keeps the local stack from working, said to the person at the terminal."""

from __future__ import annotations


class LocalProblem(Exception):  # noqa: N818 - it is shown to a person, who has a problem rather than an error
    """Something the person can mend.

    The message is one sentence that names it and its mend, and is shown without a traceback.
    """
