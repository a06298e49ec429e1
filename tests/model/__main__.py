"""Explore every scenario: `python -m tests.model [--without RULE] [SCENARIO …]` (parts of their names)."""

from __future__ import annotations

import argparse
import sys
import time

from tests.model.explorer import Explorer
from tests.model.scenarios import SCENARIOS


def main() -> int:
    """Print a line a scenario; 1 with the shortest trace where something must not be."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--without", action="append", default=[], help="a rule to take away")
    parser.add_argument("scenarios", nargs="*", help="parts of names; all by default")
    chosen = parser.parse_args()
    for scenario in SCENARIOS:
        if chosen.scenarios and not any(part in scenario.name for part in chosen.scenarios):
            continue
        begun = time.monotonic()
        result = Explorer(scenario, frozenset(chosen.without)).explore()
        seconds = time.monotonic() - begun
        sys.stdout.write(f"{scenario.name}: {result.states:,} states, {result.quiet:,} quiet, {seconds:.1f} s\n")
        sys.stdout.flush()
        if result.fault:
            steps = "\n  ".join(result.trace)
            sys.stdout.write(f"{result.fault}:\n  {steps}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
