"""Access keys of the local Functions host."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from local.host.errors import SettingsError
from local.host.keys import Keys, load_or_create

if TYPE_CHECKING:
    from pathlib import Path

KEYS = Keys("master", {"default": "host"}, {"eventgrid_extension": "system"}, {"one": {"default": "own"}})


def test_keys_are_made_once_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "keys.json"
    made = load_or_create(path)
    assert load_or_create(path) == made
    written = json.loads(path.read_text())
    assert written == {
        "masterKey": made.master,
        "functionKeys": {"default": made.function_key},
        "systemKeys": {"eventgrid_extension": made.event_grid_key},
    }
    assert len({made.master, made.function_key, made.event_grid_key}) == 3
    assert [file.name for file in path.parent.iterdir()] == ["keys.json"]


def test_processes_that_make_them_at_once_agree(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: load_or_create(path), range(32)))
    assert all(keys == made[0] for keys in made)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"masterKey": "a", "functionKeys": {}, "systemKeys": {}}', '{"masterKey": 1}']
)
def test_a_file_of_another_form_is_refused_with_the_form(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match="delete it to have a new one made"):
        load_or_create(path)


@pytest.mark.parametrize(
    ("presented", "functions", "everything", "webhook"),
    [
        ("master", {"one", "two"}, True, True),
        ("host", {"one", "two"}, False, False),
        ("own", {"one"}, False, False),
        ("system", set(), False, True),
        ("Master", set(), False, False),
        ("", set(), False, False),
        (None, set(), False, False),
    ],
)
def test_each_key_opens_what_it_is_for(
    presented: str | None,
    functions: set[str],
    everything: bool,
    webhook: bool,
) -> None:
    assert {name for name in ("one", "two") if KEYS.opens_function(presented, name)} == functions
    assert KEYS.opens_everything(presented) is everything
    assert KEYS.opens_extension(presented, "eventgrid_extension") is webhook
    assert KEYS.opens_extension(presented, "other") is everything
