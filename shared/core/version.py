"""The project's version. pyproject.toml reads it from here, since only `shared/` is deployed."""

VERSION = "0.1.0"
