"""A function app with every trigger and output the local host has, for the tests of the host."""

import asyncio
import json
import logging
import os
import sys
import time
import typing
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
log = logging.getLogger("sample")


def note(name: str, **facts: object) -> None:
    """Append what happened to the file the test watches."""
    with Path(os.environ["SAMPLE_NOTES"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"name": name, **facts}) + "\n")


@app.route(route="echo/{id}/{number:int?}", methods=["GET", "POST"])
async def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Answer with what came in."""
    return func.HttpResponse(
        json.dumps(
            {
                "method": req.method,
                "url": req.url,
                "route": dict(req.route_params),
                "query": dict(req.params),
                "headers": dict(req.headers),
                "body": req.get_body().hex(),
                "invocation": context.invocation_id,
                "function": context.function_name,
                "traceparent": context.trace_context.trace_parent,
            }
        ),
        mimetype="application/json",
    )


@app.route(route="echo/fixed", methods=["GET"])
async def fixed(req: func.HttpRequest) -> str:
    """Win over echo's parameter, because a literal is more specific."""
    return "fixed"


@app.route(route="files/{*path}", methods=["GET"])
def files(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with the rest of the path, from a thread."""
    return func.HttpResponse(req.route_params.get("path", ""))


@app.route(route="answer/hanging", methods=["GET"])
def hang(req: func.HttpRequest) -> func.HttpResponse:
    """Hang in a thread, where nothing can end it."""
    time.sleep(60)
    return func.HttpResponse("late")


@app.route(route="answer/{kind}", methods=["GET"])
async def answer(req: func.HttpRequest) -> func.HttpResponse:
    """Answer in different forms."""
    match req.route_params["kind"]:
        case "binary":
            return func.HttpResponse(bytes(range(256)), status_code=201, headers={"X-Sample": "yes", "Location": "/x"})
        case "cookies":
            response = func.HttpResponse("cookies")
            response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly; Max-Age=60")
            response.headers.add("Set-Cookie", "b=2; Secure; SameSite=Strict")
            return response
        case "empty":
            return func.HttpResponse(status_code=204)
        case "slow":
            await asyncio.sleep(30)
        case "exit":
            sys.exit(3)
        case "blocking":
            time.sleep(60)  # noqa: ASYNC251 - what a careless function does
    raise ValueError("sample failure")


@app.route(route="locked", auth_level=func.AuthLevel.FUNCTION)
async def locked(req: func.HttpRequest) -> func.HttpResponse:
    """Need a function key."""
    return func.HttpResponse("open")


@app.route(route="vault", auth_level=func.AuthLevel.ADMIN)
async def vault(req: func.HttpRequest) -> func.HttpResponse:
    """Need the master key."""
    return func.HttpResponse("open")


@app.route(route="off")
async def switched_off(req: func.HttpRequest) -> func.HttpResponse:
    """Be switched off by an app setting."""
    return func.HttpResponse("on")


@app.route(route="send", methods=["POST"])
@app.queue_output(arg_name="messages", queue_name="%WORK_QUEUE%", connection="SAMPLE_STORAGE")
async def send(
    req: func.HttpRequest,
    messages: func.Out[typing.List[str]],  # noqa: UP006 - the worker refuses the built-in list
) -> func.HttpResponse:
    """Put one message on the queue for each item of the body."""
    messages.set(req.get_json())
    return func.HttpResponse(status_code=202)


@app.function_name("event_taken")
@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="$return", queue_name="%EVENTS_QUEUE%", connection="SAMPLE_STORAGE")
async def take_event(event) -> str:  # type: ignore[no-untyped-def] # annotated, it would take one schema only
    """Take events in both schemas; each is noted on a queue through the return value."""
    data = event.get_json()
    if isinstance(event, func.CloudEvent):
        form, kind, source = "cloud", event.type, event.source
    else:
        form, kind, source = "eventgrid", event.event_type, event.topic
    if data.get("fail"):
        raise ValueError("sample event failure")
    log.info("event %s", event.id)
    return json.dumps({"form": form, "id": event.id, "type": kind, "source": source, "data": data})


@app.queue_trigger(arg_name="msg", queue_name="%WORK_QUEUE%", connection="SAMPLE_STORAGE")
@app.queue_output(arg_name="done", queue_name="%DONE_QUEUE%", connection="SAMPLE_STORAGE")
async def work(msg: func.QueueMessage, done: func.Out[str]) -> None:
    """Do what the message says."""
    order = msg.get_json()
    note(
        "work",
        id=msg.id,
        order=order,
        count=msg.dequeue_count,
        at=time.time(),
        inserted=str(msg.insertion_time),
        expires=str(msg.expiration_time),
        next_visible=str(msg.time_next_visible),
        receipt=bool(msg.pop_receipt),
    )
    log.warning("working on %s", order["id"])
    if order.get("fail", 0) >= msg.dequeue_count:
        raise RuntimeError(f"sample failure of {order['id']}")
    await asyncio.sleep(order.get("seconds", 0))
    time.sleep(order.get("blocking", 0))  # noqa: ASYNC251 - what a careless function does
    note("worked", order=order, at=time.time())
    done.set(order["id"])


@app.timer_trigger(arg_name="timer", schedule="%SAMPLE_SCHEDULE%", run_on_startup=True)
async def tick(timer: func.TimerRequest) -> None:
    """Note each tick."""
    note("tick", past_due=timer.past_due, status=typing.cast("typing.Any", timer).schedule_status)
