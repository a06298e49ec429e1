"""Access keys of the host: master, function and system keys, kept in a JSON file.

The file is made with random keys where it does not exist, so that other parts of a local stack can read them before
the host is up. Its form::

    {"masterKey": "…", "functionKeys": {"default": "…"}, "systemKeys": {"eventgrid_extension": "…"},
     "functions": {"my_function": {"default": "…"}}}

`functions` is optional: keys that open one function only.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.host.errors import SettingsError

EVENT_GRID_KEY = "eventgrid_extension"


@dataclass(slots=True, frozen=True)
class Keys:
    """The keys that open the host.

    Parameters
    ----------
    master
        Opens everything.
    host
        Host-wide function keys by name: open every function of level `function`.
    system
        System keys by the extension that owns them, such as ``eventgrid_extension``.
    functions
        Keys by name, by function: open that function only.
    """

    master: str
    host: dict[str, str]
    system: dict[str, str]
    functions: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def function_key(self) -> str:
        """A key that opens every function: the host key ``default``, or the first there is."""
        return self.host.get("default") or next(iter(self.host.values()), self.master)

    @property
    def event_grid_key(self) -> str:
        """The system key of the Event Grid webhook."""
        return self.system[EVENT_GRID_KEY]

    def opens_everything(self, presented: str | None) -> bool:
        """Whether `presented` is the master key."""
        return _same(presented, self.master)

    def opens_function(self, presented: str | None, function: str) -> bool:
        """Whether `presented` opens a function of level `function`: its own, a host or the master key."""
        own = self.functions.get(function, {})
        return any(_same(presented, key) for key in (*own.values(), *self.host.values(), self.master))

    def opens_extension(self, presented: str | None, extension: str) -> bool:
        """Whether `presented` opens an extension's webhook: its system key or the master key."""
        return any(_same(presented, key) for key in (self.system.get(extension, ""), self.master) if key)


def load_or_create(path: Path | str) -> Keys:
    """Read the keys at `path`, after making them with random values if the file is not there.

    Several processes may do this at once; all of them get the keys of the one that was first.

    Raises
    ------
    SettingsError
        The file is not readable, or not of the documented form.
    """
    path = Path(path)
    try:
        if not path.exists():
            _create(path)
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise SettingsError(f"The keys file {path} cannot be used: {exc.strerror or exc}.") from exc
    return _parse(text, path)


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {
        "masterKey": secrets.token_urlsafe(40),
        "functionKeys": {"default": secrets.token_urlsafe(40)},
        "systemKeys": {EVENT_GRID_KEY: secrets.token_urlsafe(40)},
    }
    # Written aside and linked into place: a reader never sees half a file, and the first writer wins.
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(made, file, indent=2)
        try:
            Path(path).hardlink_to(aside)
        except FileExistsError:
            return
    finally:
        Path(aside).unlink()


def _parse(text: str, path: Path) -> Keys:
    try:
        raw: Any = json.loads(text)
        keys = Keys(
            master=_key(raw["masterKey"]),
            host={str(name): _key(value) for name, value in raw["functionKeys"].items()},
            system={str(name): _key(value) for name, value in raw["systemKeys"].items()},
            functions={
                str(function): {str(name): _key(value) for name, value in own.items()}
                for function, own in raw.get("functions", {}).items()
            },
        )
        _key(keys.system[EVENT_GRID_KEY])
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise SettingsError(
            f"The keys file {path} is not of the form "
            '{"masterKey", "functionKeys": {"default"}, "systemKeys": {"eventgrid_extension"}}: '
            f"fix it, or delete it to have a new one made ({type(exc).__name__}: {exc})."
        ) from exc
    return keys


def _key(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a key is a text that is not empty")
    return value


def _same(presented: str | None, key: str) -> bool:
    return presented is not None and secrets.compare_digest(presented.encode(), key.encode())
