"""What would be deployed: what .funcignore leaves, with requirements.txt alone, indexed by the worker library.

Slow: it makes a virtual environment and installs into it, half a minute with a warm pip cache.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pathspec
import pytest

from infra.checks.bicep import BicepFile, at, entries
from infra.checks.code import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

# Stands in for the platform's messages. It is put beside the package, as the platform is, and not into it.
PROTOCOL = "local/host/protocol.py"

# A deployment's own rules for AUTO_RECORD, where it has some.
POLICY = "auto-record.json"

INDEX = """
import asyncio, importlib, json, os, pkgutil, sys
sys.path.insert(0, os.getcwd())
sys.path.append(sys.argv[1])
import azure_functions_runtime as library
from local.host.protocol import Message, StatusResult, request

def trigger(bindings):
    return next(found for found in map(json.loads, bindings) if found["type"].endswith("Trigger"))

async def index():
    library.start_threadpool_executor()
    init = Message(capabilities={}, function_app_directory=os.getcwd())
    answer = await library.worker_init_request(request(worker_init_request=init))
    if answer.result.status != StatusResult.Success:
        sys.exit(answer.result.exception.message)
    indexed = await library.functions_metadata_request(request())
    for found in indexed.function_metadata_results:
        load = Message(function_id=found.function_id, metadata=found)
        loaded = await library.function_load_request(request(function_load_request=load))
        if loaded.result.status != StatusResult.Success:
            sys.exit(loaded.result.exception.message)
    return {found.name: trigger(found.raw_bindings) for found in indexed.function_metadata_results}

functions = asyncio.run(index())
import shared
for module in pkgutil.walk_packages(shared.__path__, "shared."):
    importlib.import_module(module.name)  # much is imported only when it is needed
print(json.dumps(functions))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as a zip file, made by the rules of .funcignore."""
    ignored = pathspec.GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())
    target = tmp_path_factory.mktemp("package") / "app.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(packaged(ignored)):
            archive.write(path, path.relative_to(ROOT))
    return target


def packaged(ignored: pathspec.GitIgnoreSpec) -> Iterator[Path]:
    """Return the files that no rule leaves out; what lies in a folder that is left out cannot be brought back."""
    for folder, folders, files in ROOT.walk():
        place = folder.relative_to(ROOT)
        folders[:] = [name for name in folders if not ignored.match_file(f"{(place / name).as_posix()}/")]
        yield from (folder / name for name in files if not ignored.match_file((place / name).as_posix()))


def test_the_package_holds_the_app_and_nothing_else(package: Path) -> None:
    names = zipfile.ZipFile(package).namelist()

    assert {name.split("/")[0] for name in names} - {POLICY} == {
        "function_app.py", "functions", "host.json", "requirements.txt", "shared"
    }  # fmt: skip
    assert [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".md"))] == []
    modules = [path for folder in ("functions", "shared") for path in (ROOT / folder).rglob("*.py")]
    assert {path.relative_to(ROOT).as_posix() for path in modules} <= set(names)


def test_a_policy_file_is_deployed_and_the_example_is_not() -> None:
    ignored = pathspec.GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())

    assert not ignored.match_file(POLICY)
    assert not ignored.match_file("policies/support.json")
    assert (ROOT / "auto-record.example.json").exists()
    assert ignored.match_file("auto-record.example.json")


def test_hidden_files_stay_at_home() -> None:
    ignored = pathspec.GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())

    for name in (".git/config", ".venv/bin/python", ".local/keys.json", ".azure/prod/.env", "local.settings.json"):
        assert ignored.match_file(name), name


def test_the_package_is_indexed_with_its_requirements_alone(package: Path, tmp_path: Path) -> None:
    app, worker, environment = tmp_path / "app", tmp_path / "worker", tmp_path / "venv"
    zipfile.ZipFile(package).extractall(app)
    (worker / PROTOCOL).parent.mkdir(parents=True)
    shutil.copy(ROOT / PROTOCOL, worker / PROTOCOL)
    runtime = re.search(r'"(azure-functions-runtime==[^"]+)"', (ROOT / "pyproject.toml").read_text())
    assert runtime is not None
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, timeout=60)
    python = environment / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--requirement", app / "requirements.txt", runtime[1]],
        check=True, timeout=100,
    )  # fmt: skip

    indexed = subprocess.run(
        [python, "-c", INDEX, worker],
        cwd=app, env=deployed_settings(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert indexed.returncode == 0, indexed.stderr
    triggers = json.loads(indexed.stdout.splitlines()[-1])
    assert set(triggers) == set(Code.read(ROOT).functions)
    assert {
        "start_recording", "get_recording", "pause_recording", "resume_recording", "stop_recording", "health",
        "recording_file_status_updated", "archive_chunk",
    } <= set(triggers)  # fmt: skip
    assert triggers["recording_file_status_updated"]["type"] == "eventGridTrigger"
    assert triggers["archive_chunk"]["queueName"] == "recording-chunks"
    assert triggers["health"]["authLevel"].lower() == "anonymous"


def deployed_settings() -> dict[str, str]:
    """Return the settings that infra/modules/app.bicep makes, with made-up values, and nothing of this machine's."""
    settings = BicepFile.parse(ROOT / "infra/modules/app.bicep").of("resource")["settings"]
    properties = at(settings.value, "properties")
    assert properties is not None
    values = {key: "" for key, _, _ in entries(properties)}
    for name in values:
        if name.endswith("Uri"):
            values[name] = "https://archive.example.net"
    return values | {
        "ACS_ENDPOINT": "https://calls.communication.azure.com",
        "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "false",
        "PATH": "/usr/bin:/bin",
    }
