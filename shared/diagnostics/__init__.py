"""Whether the app and everything it depends on works."""
