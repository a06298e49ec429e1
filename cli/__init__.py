"""The operators' command, `recordings`: it knows deployments by their API and by Azure, not by the app's code."""
