"""The operators' command, `recordings`."""
