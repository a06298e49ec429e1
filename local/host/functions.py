"""What the host knows of a function: its name, its trigger and its outputs, checked when the app is loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.host import settings
from local.host.errors import AppLoadError

if TYPE_CHECKING:
    from collections.abc import Mapping

HTTP = "httpTrigger"
QUEUE = "queueTrigger"
TIMER = "timerTrigger"
EVENT_GRID = "eventGridTrigger"
TRIGGERS = (HTTP, EVENT_GRID, QUEUE, TIMER)
OUTPUTS = ("http", "queue")


@dataclass(slots=True, frozen=True)
class Function:
    """One function of the app.

    Parameters
    ----------
    name, id
        Its name, and the worker library's id for it.
    trigger
        The trigger binding's attributes, ``%Name%`` resolved.
    outputs
        The attributes of output bindings by name; ``$return`` is the return value.
    bindings
        All bindings as the app declares them.
    asynchronous
        Whether it is an ``async def``.
    disabled
        Whether an app setting switches it off.
    """

    name: str
    id: str
    trigger: dict[str, Any]
    outputs: dict[str, dict[str, Any]]
    bindings: list[dict[str, Any]]
    asynchronous: bool
    disabled: bool

    @property
    def kind(self) -> str:
        """The trigger's type."""
        return str(self.trigger["type"])

    @property
    def methods(self) -> list[str] | None:
        """The methods an HTTP function answers, upper case; None for all."""
        given = self.trigger.get("methods")
        return [str(method).upper() for method in given] if given else None

    @property
    def auth_level(self) -> str:
        """An HTTP function's level: ``anonymous``, ``function`` or ``admin``."""
        return str(self.trigger.get("authLevel") or "function").lower()

    def route(self, prefix: str) -> str:
        """Return an HTTP function's route template with the app's prefix; the name is the default route."""
        route = str(self.trigger.get("route") or self.name).strip("/")
        return f"{prefix}/{route}" if prefix else route


def from_metadata(
    name: str, function_id: str, raw_bindings: list[str], *, asynchronous: bool, environment: Mapping[str, str]
) -> Function:
    """Build a function from the bindings that the worker library indexed.

    Parameters
    ----------
    raw_bindings
        JSON objects, as function.json would hold them.

    Raises
    ------
    AppLoadError
        A binding is of a type that this host does not have, or there is not exactly one trigger.
    SettingsError
        A ``%Name%`` does not resolve.
    """
    bindings: list[dict[str, Any]] = [json.loads(raw) for raw in raw_bindings]
    trigger: dict[str, Any] | None = None
    outputs: dict[str, dict[str, Any]] = {}
    for declared in bindings:
        kind = str(declared.get("type"))
        resolved = _resolved(declared, name, environment)
        if kind in TRIGGERS:
            if trigger is not None:
                raise AppLoadError(f"Function '{name}' has two triggers, and a function has one.")
            trigger = resolved
        elif kind in OUTPUTS and str(declared.get("direction")).upper() == "OUT":
            outputs[str(declared["name"])] = resolved
        else:
            raise AppLoadError(
                f"Function '{name}': the binding '{declared.get('name')}' of type '{kind}' is not available in the "
                f"local host, which has the triggers {', '.join(TRIGGERS)} and the outputs {', '.join(OUTPUTS)}."
            )
    if trigger is None:
        raise AppLoadError(f"Function '{name}' has no trigger, so nothing would ever run it.")
    return Function(
        name=name,
        id=function_id,
        trigger=trigger,
        outputs=outputs,
        bindings=bindings,
        asynchronous=asynchronous,
        disabled=settings.is_disabled(name, environment),
    )


def _resolved(binding: dict[str, Any], function: str, environment: Mapping[str, str]) -> dict[str, Any]:
    where = f"Function '{function}', binding '{binding.get('name')}'"
    return {
        key: settings.resolve(value, environment, where) if isinstance(value, str) else value
        for key, value in binding.items()
    }
