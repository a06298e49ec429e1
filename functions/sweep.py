"""Every few minutes: find what failed or was lost, and fix it."""

import azure.functions as func

from shared.app import services

blueprint = func.Blueprint()


@blueprint.timer_trigger(arg_name="timer", schedule="0 */5 * * * *")
async def sweep(timer: func.TimerRequest) -> None:
    """Sweep the archive."""
    await services().sweep.sweep()
