"""The command `python -m local`. Kept readable for an old Python, so that it can say which one is needed."""

import signal
import sys

if sys.version_info[:2] != (3, 13):
    sys.exit(
        "python -m local needs Python 3.13, and %s is %d.%d: run `make setup`, then `.venv/bin/python -m local`"  # noqa: UP031
        % (sys.executable, sys.version_info[0], sys.version_info[1])
    )

# Until a command handles SIGINT, nothing is started, and Ctrl-C just ends this process, without a traceback. A shell
# that starts it in the background makes it ignore SIGINT: a Ctrl-C while the modules are loaded would be lost.
signal.signal(signal.SIGINT, signal.SIG_DFL)

try:
    from local.commands import main
except ModuleNotFoundError as missing:
    if missing.name is None or missing.name.partition(".")[0] in ("local", "shared", "functions"):
        raise
    sys.exit(
        "python -m local needs the package %s, which %s does not have: "  # noqa: UP031
        "run `make setup`, then `.venv/bin/python -m local`" % (missing.name, sys.executable)
    )

sys.exit(main())
