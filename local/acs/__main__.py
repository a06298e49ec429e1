"""`python -m local.acs`: the emulator by itself."""

from __future__ import annotations

from local.acs.cli import application

if __name__ == "__main__":
    application()(prog_name="python -m local.acs")
