"""The emulator can be installed by itself."""

from __future__ import annotations

import subprocess
import sys

_IMPORT_ALL = """
import importlib, pkgutil, sys
import local.acs
for module in pkgutil.walk_packages(local.acs.__path__, "local.acs."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
own = ("local", "shared", "functions", "cli", "infra")
foreign = [name for name in sys.modules if name.split(".")[0] in own and not (name + ".").startswith("local.acs.")]
print(*sorted(set(foreign) - {"local"}))
"""


def test_it_imports_nothing_of_the_rest_of_the_project() -> None:
    done = subprocess.run([sys.executable, "-c", _IMPORT_ALL], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
