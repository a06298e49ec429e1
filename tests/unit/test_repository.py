"""The files for those who work on the project: each can be read, and what it names is there."""

from __future__ import annotations

import ast
import json
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pathspec
import pytest
import yaml
from pre_commit.clientlib import load_config

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
PAGES = [ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md")]
EDITOR_FILES = [ROOT / ".devcontainer/devcontainer.json", *sorted((ROOT / ".vscode").glob("*.json"))]

# Endings of files that a workflow's commands name.
KINDS = "py|sh|ps1|toml|txt|json|bicepparam|bicep"

# What shows that a folder has dependencies of a kind.
MANIFESTS = {
    "pip": ("pyproject.toml", "*.txt"),
    "npm": ("package.json",),
    "github-actions": (".github/workflows/*.yml",),
    "devcontainers": (".devcontainer/devcontainer.json",),
}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def read_json(file: str) -> Any:
    return json.loads((ROOT / file).read_text())


def texts(value: object) -> Iterator[str]:
    """Every text in a parsed file."""
    match value:
        case str():
            yield value
        case dict():
            for part in value.values():
                yield from texts(part)
        case list():
            for part in value:
                yield from texts(part)


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def recipe(target: str) -> str:
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1].replace("$(BIN)", ".venv/bin")


def hooks() -> list[dict[str, Any]]:
    [repository] = load_config(str(ROOT / ".pre-commit-config.yaml"))["repos"]
    assert repository["repo"] == "local"
    found: list[dict[str, Any]] = repository["hooks"]
    return found


# --- the hooks of a commit


def test_a_commit_is_checked_by_ruff_mypy_and_import_linter() -> None:
    commands = {hook["entry"] for hook in hooks()}

    assert {
        ".venv/bin/ruff check .",
        ".venv/bin/ruff format --check .",
        ".venv/bin/mypy",
        ".venv/bin/lint-imports --no-logo",
    } <= commands


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: hook["id"])
def test_a_hook_runs_a_program_of_the_environment_on_the_whole_project(hook: dict[str, Any]) -> None:
    program = Path(shlex.split(hook["entry"])[0])

    assert program.parent == Path(".venv/bin")
    assert (Path(sys.prefix) / "bin" / program.name).exists()
    assert hook["language"] == "unsupported"  # what `system` is called since pre-commit 4.4
    assert hook["pass_filenames"] is False


def test_make_check_runs_every_hook_and_no_tool_twice() -> None:
    lines = recipe("check")
    [run] = re.findall(r"(?:SKIP=(\S+) )?\.venv/bin/pre-commit run --all-files", lines)
    skipped = set(filter(None, run.split(",")))

    assert skipped <= {hook["id"] for hook in hooks()}
    for hook in hooks():
        tool = " ".join(shlex.split(hook["entry"])[:3]).removesuffix(" .")
        assert (tool in lines) is (hook["id"] in skipped), hook["id"]


@pytest.mark.parametrize("file", [".ci/run", ".github/workflows/deploy.yml"])
def test_a_pull_request_has_to_pass_make_check(file: str) -> None:
    assert re.search(r"\bmake check$", (ROOT / file).read_text(), re.MULTILINE)


# --- what is on GitHub


@pytest.mark.parametrize("path", WORKFLOWS, ids=name)
def test_a_workflow_has_few_rights_and_an_end(path: Path) -> None:
    workflow = read_yaml(path)

    assert workflow["permissions"] == {"contents": "read"}
    assert workflow[True]  # YAML 1.1 reads the key `on` as true
    for job in workflow["jobs"].values():
        assert job["runs-on"] == "ubuntu-24.04"
        assert job["timeout-minutes"] <= 60


@pytest.mark.parametrize("path", WORKFLOWS, ids=name)
def test_what_a_workflow_names_is_there(path: Path) -> None:
    said = "\n".join(texts(read_yaml(path)["jobs"]))
    files = set(re.findall(rf"(?<![\w/.$])\.?\w[\w-]*(?:/[\w.-]+)*\.(?:{KINDS})\b", said))

    assert {file for file in files if not (ROOT / file).exists()} == set()
    assert set(re.findall(r"^\s*make ([a-z-]+)", said, re.MULTILINE)) <= make_targets()


def test_an_action_has_one_version_in_all_workflows() -> None:
    used = {
        step["uses"]
        for path in WORKFLOWS
        for job in read_yaml(path)["jobs"].values()
        for step in job["steps"]
        if "uses" in step
    }
    actions = [re.fullmatch(r"([\w-]+/[\w-]+)(?:/[\w-]+)?@(v\d+)", use) for use in used]

    assert None not in actions
    versions = {(action[1], action[2]) for action in actions if action is not None}
    assert len({action for action, _ in versions}) == len(versions), sorted(versions)


def test_code_scanning_reads_python_and_javascript() -> None:
    [job] = read_yaml(ROOT / ".github/workflows/codeql.yml")["jobs"].values()

    assert job["strategy"]["matrix"]["language"] == ["python", "javascript-typescript"]
    assert job["permissions"]["security-events"] == "write"


def updates() -> list[tuple[str, str]]:
    """Each folder that Dependabot looks into, with the kind of its dependencies."""
    config = read_yaml(ROOT / ".github/dependabot.yml")
    assert config["version"] == 2
    return [
        (update["package-ecosystem"], folder)
        for update in config["updates"]
        for folder in update.get("directories") or [update["directory"]]
        if update["schedule"]["interval"]
    ]


@pytest.mark.parametrize(("kind", "folder"), updates())
def test_dependabot_finds_dependencies_where_it_looks(kind: str, folder: str) -> None:
    assert [path for pattern in MANIFESTS[kind] for path in (ROOT / folder.strip("/")).glob(pattern)]


def test_dependabot_looks_at_every_kind_and_every_package_of_node() -> None:
    packages = set()
    for folder, folders, files in ROOT.walk():
        folders[:] = [inner for inner in folders if inner != "node_modules" and not inner.startswith(".")]
        if "package.json" in files:
            packages.add(f"/{name(folder)}")

    assert {kind for kind, _ in updates()} == set(MANIFESTS)
    assert {folder for kind, folder in updates() if kind == "npm"} == packages


@pytest.mark.parametrize("path", FORMS, ids=name)
def test_an_issue_form_is_one_that_github_takes(path: Path) -> None:
    form = read_yaml(path)

    assert {"name", "description", "labels", "body"} == set(form)
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert fields, "GitHub refuses a form of texts alone"
    assert all(field["attributes"]["value"] for field in form["body"] if field["type"] == "markdown")
    assert {field["type"] for field in fields} <= {"input", "textarea", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in fields)
    assert all(field["attributes"].get("options") for field in fields if field["type"] in {"dropdown", "checkboxes"})
    assert len({field["id"] for field in fields}) == len(fields)
    assert len({field["attributes"]["label"] for field in fields}) == len(fields)


def test_there_is_a_form_for_a_bug_a_feature_and_a_question_and_no_blank_issue() -> None:
    config = read_yaml(ROOT / ".github/ISSUE_TEMPLATE/config.yml")

    assert [path.stem for path in FORMS] == ["bug", "feature", "question"]
    assert config["blank_issues_enabled"] is False
    assert all({"name", "url", "about"} == set(link) for link in config["contact_links"])


# --- editors and containers


def test_the_container_has_what_the_project_needs() -> None:
    container = read_json(".devcontainer/devcontainer.json")
    features = {feature.rpartition("/")[2].partition(":")[0] for feature in container["features"]}

    assert f":{(ROOT / '.python-version').read_text().strip()}-" in container["image"]
    assert {"node", "azd", "azure-cli", "azure-functions-core-tools"} <= features
    assert container["postCreateCommand"].split() == ["make", "--always-make", "setup"]
    assert {str(port) for port in container["forwardPorts"]} == set(container["portsAttributes"])


def test_the_container_has_the_extensions_that_the_editor_recommends() -> None:
    installed = read_json(".devcontainer/devcontainer.json")["customizations"]["vscode"]["extensions"]
    recommended = read_json(".vscode/extensions.json")["recommendations"]

    assert {*installed, "ms-vscode-remote.remote-containers"} == set(recommended)


@pytest.mark.parametrize("task", read_json(".vscode/tasks.json")["tasks"], ids=lambda task: task["label"])
def test_a_task_runs_a_target_of_the_makefile(task: dict[str, Any]) -> None:
    assert (task["type"], task["command"]) == ("shell", "make")
    assert task["args"][0] in make_targets()
    assert all(re.fullmatch(r"(HOST|ARGS)=.*", argument) for argument in task["args"][1:])


def test_the_editor_sees_when_the_stack_is_up() -> None:
    shown = (ROOT / "local/up.py").read_text()
    [matcher] = [
        task["problemMatcher"]["background"]
        for task in read_json(".vscode/tasks.json")["tasks"]
        if task["problemMatcher"]
    ]

    assert matcher["beginsPattern"] in shown
    assert matcher["endsPattern"] in shown


def test_a_launch_starts_what_is_there() -> None:
    labels = {task["label"] for task in read_json(".vscode/tasks.json")["tasks"]}

    for launch in read_json(".vscode/launch.json")["configurations"]:
        assert launch["type"] == "debugpy"
        assert launch.get("preLaunchTask") in {None, *labels}
        if launch["request"] == "attach":
            assert set(launch["connect"]) == {"host", "port"}
        else:
            assert launch["module"] == "pytest" or (ROOT / launch["module"] / "__main__.py").exists()


def test_a_launch_attaches_to_the_port_of_the_task_before_it() -> None:
    tasks = {task["label"]: task for task in read_json(".vscode/tasks.json")["tasks"]}

    for launch in read_json(".vscode/launch.json")["configurations"]:
        if task := tasks.get(launch.get("preLaunchTask", "")):
            arguments = task["options"]["env"]["languageWorkers__python__arguments"]
            assert arguments == "-m debugpy --listen {host}:{port}".format(**launch["connect"])


@pytest.mark.parametrize("path", EDITOR_FILES, ids=name)
def test_an_editor_file_is_plain_json(path: Path) -> None:
    assert isinstance(json.loads(path.read_text()), dict)


@pytest.mark.parametrize("path", EDITOR_FILES, ids=name)
def test_what_an_editor_file_names_in_the_folder_is_there(path: Path) -> None:
    named = re.findall(r"\$\{workspaceFolder\}/([\w./-]+)", path.read_text())

    assert [file for file in named if not (ROOT / file).exists()] == []


# --- pages


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


@pytest.mark.parametrize("path", [*FORMS, ROOT / ".github/PULL_REQUEST_TEMPLATE.md"], ids=name)
def test_pages_that_a_form_names_are_there(path: Path) -> None:
    said = path.read_text()
    files = {*re.findall(r"\.\./blob/main/([\w./-]+)", said), *re.findall(r"`?((?:docs|infra)/[\w./-]+\.\w+)", said)}

    assert {file for file in files if not (ROOT / file).exists()} == set()


@pytest.mark.parametrize("page", [*PAGES, ROOT / ".github/PULL_REQUEST_TEMPLATE.md", *FORMS], ids=name)
def test_make_targets_that_a_page_names_are_there(page: Path) -> None:
    assert set(re.findall(r"(?:`|^)make (?:-\S+ )*([a-z-]+)", page.read_text(), re.MULTILINE)) <= make_targets()


def test_files_that_are_named_for_a_change_are_there() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    table = page.partition("## Where to change what")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")][1:]

    assert len(rows) >= 10
    for change, first, then in rows:
        assert re.match(r" `[\w/]+\.\w+`", first), change
        for file in re.findall(r"`([\w./-]+\.\w+)`", first + then):
            assert (ROOT / file).exists(), f"{change.strip()}: {file}"


def test_the_sdk_functions_of_the_security_notice_are_not_called() -> None:
    called = {
        node.attr
        for folder in ("functions", "shared")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }

    assert "start_recording" in called
    assert called & {"download_recording", "delete_recording"} == set()


# --- what is deployed


@pytest.mark.parametrize(
    "path", [*PAGES, *EDITOR_FILES, *WORKFLOWS, *FORMS, ROOT / ".pre-commit-config.yaml"], ids=name
)
def test_files_of_the_project_itself_are_not_deployed(path: Path) -> None:
    ignored = pathspec.GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())

    assert ignored.match_file(name(path))
