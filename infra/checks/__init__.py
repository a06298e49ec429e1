"""Offline checks of the infrastructure: `python -m infra.checks`.

There is no Azure and no Bicep compiler where these run. They hold what can be held without: every Bicep file parses,
its references, modules and outputs resolve, its names and settings are the code's, and checkov finds nothing new.
"""
