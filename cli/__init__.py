"""The operators' command, `recordings`: it uses the HTTP API and Azure, and imports nothing of the app's code."""
