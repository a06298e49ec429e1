"""The log as a user of `func start` knows it: ``[2026-11-22T10:00:00.000Z] text`` lines on standard output.

Levels come from host.json's `logging.logLevel`, by the longest prefix of a line's category: ``Host.…`` for the host,
``Function.<name>`` for the start and end of an invocation, ``Function.<name>.User`` for what a function logs itself.
"""

from __future__ import annotations

import logging
import sys
import threading
from datetime import UTC, datetime

from local.host.worker import current_function

_LIBRARY_LOGGERS = ("azure.functions", "azure_functions_runtime", "azure_functions_worker")


class ConsoleHandler(logging.Handler):
    """Writes log records to standard output, filtered as host.json says.

    Parameters
    ----------
    levels
        Lowest level shown, by category prefix in lower case, with ``default``.
    verbose
        Also show what the worker library says of itself.

    Attributes
    ----------
    loading
        Whether the app is still being loaded; the host switches it off.
    """

    def __init__(self, levels: dict[str, int], *, verbose: bool = False) -> None:
        super().__init__()
        self._levels = levels
        self._verbose = verbose
        self._host_thread = threading.get_ident()
        self.loading = True

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown."""
        if _within(record.name, _LIBRARY_LOGGERS) and not self._verbose:
            # While it loads the app its errors become the host's own refusal, without a traceback through the library.
            return record.levelno == logging.WARNING or (record.levelno > logging.WARNING and not self.loading)
        # The host uses the Azure SDK too; what that logs of the host's own polling is not shown.
        if record.thread == self._host_thread and not record.name.startswith("host"):
            return record.levelno >= logging.WARNING
        return record.levelno >= level_of(_category(record), self._levels)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, each of its lines after the first without a time."""
        try:
            text = record.getMessage()
            if record.exc_info:
                text += "\n" + logging.Formatter().formatException(record.exc_info)
            moment = datetime.fromtimestamp(record.created, UTC)
            sys.stdout.write(f"[{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z] {text}\n")
            sys.stdout.flush()
        except (OSError, ValueError):
            self.handleError(record)


def install(levels: dict[str, int], *, verbose: bool) -> ConsoleHandler:
    """Make the root logger write to the console, as the worker process sets its own up."""
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    handler = ConsoleHandler(levels, verbose=verbose)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if verbose else min([logging.INFO, *levels.values()]))
    return handler


def level_of(category: str, levels: dict[str, int]) -> int:
    """Find the level of the longest prefix of `category` that host.json names."""
    category = category.lower()
    while category:
        if category in levels:
            return levels[category]
        category = category.rpartition(".")[0]
    return levels["default"]


def _category(record: logging.LogRecord) -> str:
    if (named := getattr(record, "category", None)) is not None:
        return str(named)
    function = current_function()
    if function is not None:
        return f"Function.{function}.User"
    return "Host.General" if record.name.startswith("host") else "Worker"


def _within(name: str, loggers: tuple[str, ...]) -> bool:
    return any(name == logger or name.startswith(logger + ".") for logger in loggers)
