"""How long the Functions worker's library takes to index an app: `python -m bench.indexing FOLDER`, one app a process.

What is measured is what happens in a new instance between the worker's start and its answer to the host: the app is
imported, its functions are found and checked. The worker's own imports are made before.
"""

# ruff: noqa: PLC0415 - what is imported when is what is measured

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

EMPTY_APP = """import azure.functions as func

app = func.FunctionApp()


@app.route("nothing")
def nothing(req: func.HttpRequest) -> str:
    return ""
"""


async def index(folder: Path) -> dict[str, float]:
    """Index the app in `folder`; return seconds, CPU seconds, MiB and the number of functions."""
    import azure_functions_runtime as library

    from bench.processes import Usage
    from local.host.protocol import Message, StatusResult, request

    os.chdir(folder)
    sys.path[0] = str(folder)
    memory, cpu, began = Usage.of(os.getpid()).mib, time.process_time(), time.perf_counter()
    init = Message(capabilities={}, function_app_directory=str(folder))
    answer = await library.worker_init_request(request(worker_init_request=init))
    if answer.result.status != StatusResult.Success:
        raise SystemExit(str(answer.result.exception.message))
    indexed = await library.functions_metadata_request(request())
    for metadata in indexed.function_metadata_results:
        load = Message(function_id=metadata.function_id, metadata=metadata)
        await library.function_load_request(request(function_load_request=load))
    return {
        "wall_s": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu,
        "mib": Usage.of(os.getpid()).mib - memory,
        "functions": len(indexed.function_metadata_results),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(index(Path(sys.argv[1]).resolve()))))
