"""The README: its pictures, its figures, its commands."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.images import demo
from docs.images.draw import FOLDER, pictures

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PICTURES = ("architecture.svg", "demo.svg")
SVG = "{http://www.w3.org/2000/svg}"

# Each row of the README's table of speeds, and whose row it is in bench/results.md.
CONTENDERS = {
    "this app, digests and checks included": "ours",
    "a stream into `upload_blob`, tuned": "stream",
    "the quickstarts' way: a file, then `upload_blob`": "quickstart",
    "rclone copyurl": "rclone",
    "curl, then AzCopy": "azcopy",
}


def measured(case: str, contender: str) -> str:
    """MB/s of a contender in a case of bench/results.md."""
    results = (ROOT / "bench/results.md").read_text(encoding="utf-8")
    table = results.partition(f"## {case}:")[2].partition("\n## ")[0]
    found = re.search(rf"^\| {contender} \| (\d+) \|", table, re.MULTILINE)
    assert found is not None, f"bench/results.md has no {contender} in {case}"
    return found[1]


def cells(label: str) -> list[str]:
    """The cells after the first in the README's table row that begins with `label`."""
    found = re.search(rf"^\| {re.escape(label)} \|(.*)\|$", README, re.MULTILINE)
    assert found is not None, f"the README has no row {label!r}"
    return [cell.strip() for cell in found[1].split("|")]


def commands() -> list[str]:
    """Each line of the README's shell blocks, in order."""
    return [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]


def test_every_picture_drawn_is_shown() -> None:
    assert tuple(pictures()) == PICTURES
    assert sorted(re.findall(r"!\[[^]]+\]\(docs/images/([\w.]+)\)", README)) == sorted(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_its_source_gives(name: str) -> None:
    committed = (FOLDER / name).read_bytes()
    assert committed == pictures()[name].encode(), f"{name} is out of date; run: python -m docs.images.draw"


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_title_description_and_real_text(name: str) -> None:
    picture = ElementTree.parse(FOLDER / name).getroot()
    named = (picture.get("aria-labelledby") or "").split()
    texts = {element.get("id"): element.text for element in picture if element.tag in {f"{SVG}title", f"{SVG}desc"}}
    assert [bool(texts.get(each)) for each in named] == [True, True]
    assert len(picture.findall(f"{SVG}text")) > 10


def test_the_picture_of_the_demo_shows_only_lines_of_the_recorded_run() -> None:
    recorded = demo.SOURCE.read_text(encoding="utf-8").splitlines()
    picture = ElementTree.parse(FOLDER / "demo.svg").getroot()
    _, command, *lines = ["".join(text.itertext()) for text in picture.findall(f"{SVG}text")]
    assert command == "$ make demo"
    position = 0
    for line in lines:
        shortened, _, rest = line.partition("… = ") if "sha256" in line else (line, "", "")
        matches = (
            n for n, each in enumerate(recorded) if n >= position and each.startswith(shortened) and each.endswith(rest)
        )
        found = next(matches, None)
        assert found is not None, f"{line!r} is not in {demo.SOURCE.name}, or not in this order"
        position = found + 1


def test_a_run_that_failed_is_not_drawn() -> None:
    failed = demo.SOURCE.read_text(encoding="utf-8").replace("Archived, whole and verified", "Not archived")
    with pytest.raises(ValueError, match=r"python -m docs\.images\.record"):
        demo.shown(failed)


def test_the_recorded_run_names_no_folder_of_the_machine_it_ran_on() -> None:
    assert re.findall(r"(?<!\S)/\S+", demo.SOURCE.read_text(encoding="utf-8").replace(" /api/", " api/")) == []


@pytest.mark.parametrize("label", CONTENDERS)
def test_speeds_are_those_of_the_last_benchmark(label: str) -> None:
    assert cells(label) == [f"{measured(case, CONTENDERS[label])} MB/s" for case in ("plain-512", "throttled-512")]


@pytest.mark.parametrize(
    ("label", "case"),
    [("speed, unthrottled source", "plain-512"), ("speed, 40 MB/s per connection", "throttled-512")],
)
def test_the_comparison_has_the_speeds_of_the_last_benchmark(label: str, case: str) -> None:
    assert cells(label) == ["not measured", *(f"{measured(case, contender)} MB/s" for contender in ("stream", "ours"))]


def test_costs_are_those_of_the_cost_note() -> None:
    note = (ROOT / "docs/cost.md").read_text(encoding="utf-8")
    audio, video = (row[1] for row in re.findall(r"^\| a recording \| (\S+) \| (\S+) \|", note, re.MULTILINE))
    assert f"{audio} US dollars as audio and {video} as video at 10 000 a month" in README


def test_the_fixed_cost_is_that_of_the_cost_note() -> None:
    note = (ROOT / "docs/cost.md").read_text(encoding="utf-8")
    fixed = sum(
        float(found[1])
        for item in ("Functions, always ready", "Alerts")
        if (found := re.search(rf"^\| {item} \| (\d+\.\d+) \|", note, re.MULTILINE))
    )
    assert re.findall(r"about (\d+) US dollars a month", README) == [f"{fixed:.0f}"] * 2


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_no_variable_is_used_before_it_is_set() -> None:
    outputs = re.findall(r"^output (\w+) ", (ROOT / "infra/main.bicep").read_text(encoding="utf-8"), re.MULTILINE)
    known: set[str] = set()
    for line in commands():
        used = set(re.findall(r"\$\{?([A-Z_]+)", line))
        assert used <= known, f"{sorted(used - known)} used before being set: {line}"
        known |= set(re.findall(r"(?:^|\s)([A-Z_]+)=", line))
        if "azd env get-values" in line:
            known |= set(outputs)
    assert {"APP", "KEY"} <= known
