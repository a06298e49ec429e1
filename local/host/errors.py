"""What keeps the host from starting.

HostError
├── SettingsError   host.json, local.settings.json or an app setting
├── AppLoadError    function_app.py does not load, or binds to what is not there
└── PortTakenError  another process listens on the port
"""

from __future__ import annotations


class HostError(Exception):
    """The host cannot start; the message says why and what to change, in a form fit for a terminal."""


class SettingsError(HostError):
    """host.json, local.settings.json or an app setting is wrong or missing."""


class AppLoadError(HostError):
    """The function app was refused, by the worker library or by this host."""


class PortTakenError(HostError):
    """The HTTP port is in use."""
