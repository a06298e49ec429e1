from __future__ import annotations

import json
import pkgutil
import tomllib
from pathlib import Path

from shared.api import openapi
from shared.diagnostics.checks import versions

PROJECT = Path(__file__).parents[3] / "pyproject.toml"


def test_the_package_the_api_document_and_the_diagnosis_have_one_version() -> None:
    attribute = tomllib.loads(PROJECT.read_text())["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    package = pkgutil.resolve_name(attribute)
    assert package == json.loads(openapi.document())["info"]["version"] == versions()["app"]
