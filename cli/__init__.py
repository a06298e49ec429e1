"""The operators' command, `recordings`: it knows deployments by their HTTP API and by Azure, never by the app's code."""
