"""`python -m infra.checks`: every offline check of the infrastructure, one finding a line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from infra.checks.policy import check_policy
from infra.checks.run import check_offline


def main() -> int:
    """Print the findings and return 1 if there is any."""
    parser = argparse.ArgumentParser(prog="python -m infra.checks", description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project's root (default: here)")
    parser.add_argument("--skip-checkov", action="store_true", help="leave out checkov, which takes 15 s")
    options = parser.parse_args()
    root = options.root.resolve()
    findings = check_offline(root)
    if not options.skip_checkov:
        findings += check_policy(root)
    for finding in sorted(set(findings)):
        sys.stdout.write(finding.show(root) + "\n")
    sys.stdout.write(f"infra: {len(set(findings))} findings\n")
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
