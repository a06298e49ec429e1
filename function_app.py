"""The recording archiver as an Azure Functions app."""

import azure.functions as func

from functions import (
    attention,
    callbacks,
    calls,
    chunks,
    health,
    openapi,
    recording_events,
    recording_files,
    recordings,
    reindexing,
    sweep,
    verification,
)
from shared.app import report_settings
from shared.core import log

log.quiet_sdks()
report_settings()

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
for module in (
    recordings,
    recording_files,
    recording_events,
    chunks,
    calls,
    callbacks,
    sweep,
    attention,
    verification,
    reindexing,
    health,
    openapi,
):
    app.register_functions(module.blueprint)
