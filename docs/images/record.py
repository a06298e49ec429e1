"""Runs `make demo` and keeps what it prints in docs/images/demo.txt: `python -m docs.images.record`.

The picture is drawn from that file afterwards: `python -m docs.images.draw`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from docs.images.demo import SOURCE

PROJECT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Run the demo and write its output, with the project's folder cut out of paths.

    Raises
    ------
    subprocess.CalledProcessError
        The demo failed; the file stays as it was.
    """
    run = subprocess.run(
        ["make", "--no-print-directory", "demo"],  # noqa: S607 - whichever make is on PATH, as the README says
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        check=True,
    )
    SOURCE.write_text(run.stdout.replace(f"{PROJECT}/", ""), encoding="utf-8")


if __name__ == "__main__":
    main()
