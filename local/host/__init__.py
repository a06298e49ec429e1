"""A local Azure Functions host around Microsoft's `azure-functions-runtime`.

The worker library imports, indexes and type-checks `function_app.py`, decodes trigger data and encodes outputs; this
package supplies what the host process supplies in Azure: HTTP routes and keys, the Event Grid webhook, queue and timer
listeners, queue outputs, host.json and app settings, and the log lines of `func start`.
"""
