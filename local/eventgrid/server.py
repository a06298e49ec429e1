"""The emulator's HTTP routes: where events are published, and the control routes under ``/control``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from aiohttp import web
from multidict import CIMultiDict
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from local.eventgrid.errors import EventGridError, UnknownResourceError
from local.eventgrid.fault_answers import answer
from local.eventgrid.faults import DELIVERY, FaultOrder
from local.eventgrid.metrics import Metric
from local.eventgrid.schemas import EventSchema, TopicKind, timestamp
from local.eventgrid.subscriptions import SubscriptionSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from local.eventgrid.delivery import Subscription
    from local.eventgrid.faults import Faults
    from local.eventgrid.service import EventGridService

log = logging.getLogger(__name__)


class _Request(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid")


class TopicRequest(_Request):
    """Body of ``POST /control/topics``."""

    name: str
    kind: TopicKind = TopicKind.SYSTEM
    input_schema: EventSchema = EventSchema.EVENT_GRID
    resource_id: str = ""


class ClockRequest(_Request):
    """Body of ``POST /control/clock``."""

    rate: float | None = Field(default=None, gt=0)
    advance_seconds: float | None = Field(default=None, ge=0)


def build_app(service: EventGridService) -> web.Application:
    """Return the application that serves the emulator."""
    app = web.Application(middlewares=[_answer_errors], client_max_size=service.options.max_publish_bytes)
    routes = _Routes(service)
    topic = "/control/topics/{topic}"
    subscription = topic + "/subscriptions/{subscription}"
    app.add_routes(
        [
            web.post("/topics/{topic}/api/events", routes.publish),
            web.get("/validate", routes.validate),
            web.post("/validate", routes.validate),
            web.get("/control/topics", routes.list_topics),
            web.post("/control/topics", routes.create_topic),
            web.get(topic, routes.show_topic),
            web.delete(topic, routes.delete_topic),
            web.get(topic + "/key", routes.show_key),
            web.get(topic + "/faults", routes.list_faults),
            web.post(topic + "/faults", routes.order_fault),
            web.delete(topic + "/faults", routes.clear_faults),
            web.delete(topic + "/faults/{fault}", routes.remove_fault),
            web.get(subscription + "/faults", routes.list_faults),
            web.post(subscription + "/faults", routes.order_fault),
            web.delete(subscription + "/faults", routes.clear_faults),
            web.delete(subscription + "/faults/{fault}", routes.remove_fault),
            web.get(topic + "/subscriptions", routes.list_subscriptions),
            web.put(subscription, routes.create_subscription),
            web.get(subscription, routes.show_subscription),
            web.delete(subscription, routes.delete_subscription),
            web.get("/control/metrics", routes.metrics),
            web.get("/control/pending", routes.pending),
            web.get("/control/clock", routes.show_clock),
            web.post("/control/clock", routes.set_clock),
            web.get("/control/idle", routes.idle),
        ]
    )
    return app


class _Routes:
    def __init__(self, service: EventGridService) -> None:
        self._service = service

    async def publish(self, request: web.Request) -> web.Response:
        topic = request.match_info["topic"]
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            self._service.topic(topic).counters.add(Metric.REFUSED)
            limit = self._service.options.max_publish_bytes
            raise EventGridError(
                f"The request is larger than {limit} bytes.", status=413, code="PayloadTooLarge"
            ) from error
        headers = CIMultiDict(request.headers)
        if key := request.query.get("aeg-sas-key"):
            headers.setdefault("aeg-sas-key", key)
        fault = self._service.publish(topic, headers, request.content_type, body)
        return web.Response() if fault is None else await answer(request, fault)

    async def validate(self, request: web.Request) -> web.Response:
        name = self._service.validate_manually(request.query.get("token", ""))
        return web.Response(text=f"The event subscription {name} is validated.\n")

    async def list_topics(self, _: web.Request) -> web.Response:
        return web.json_response([self._topic(topic.name) for topic in self._service.topics()])

    async def create_topic(self, request: web.Request) -> web.Response:
        wanted = TopicRequest.model_validate(await _json(request))
        topic = await self._service.create_topic(
            wanted.name, kind=wanted.kind, input_schema=wanted.input_schema, resource_id=wanted.resource_id
        )
        return web.json_response(self._topic(topic.name), status=201)

    async def show_topic(self, request: web.Request) -> web.Response:
        return web.json_response(self._topic(request.match_info["topic"]))

    async def delete_topic(self, request: web.Request) -> web.Response:
        await self._service.delete_topic(request.match_info["topic"])
        return web.Response(status=204)

    async def show_key(self, request: web.Request) -> web.Response:
        return web.json_response({"key": self._service.topic_key(request.match_info["topic"])})

    async def list_faults(self, request: web.Request) -> web.Response:
        return web.json_response([fault.shown() for fault in self._faults(request).all()])

    async def order_fault(self, request: web.Request) -> web.Response:
        order = FaultOrder.model_validate(await _json(request))
        if "subscription" in request.match_info and order.kind not in DELIVERY:
            raise EventGridError(
                f"A fault of kind {order.kind} meets publishers: order it for the topic. "
                f"A subscription has {', '.join(DELIVERY)}.",
                code="InvalidRequest",
            )
        fault = self._faults(request).add(order, self._service.clock.time())
        return web.json_response(fault.shown(), status=201)

    async def clear_faults(self, request: web.Request) -> web.Response:
        return web.json_response({"removed": self._faults(request).clear()})

    async def remove_fault(self, request: web.Request) -> web.Response:
        identifier = request.match_info["fault"]
        if not self._faults(request).remove(identifier):
            raise UnknownResourceError(f"There is no fault '{identifier}'.")
        return web.json_response({"removed": 1})

    async def list_subscriptions(self, request: web.Request) -> web.Response:
        topic = self._service.topic(request.match_info["topic"])
        return web.json_response([_shown(subscription) for subscription in topic.subscriptions.values()])

    async def create_subscription(self, request: web.Request) -> web.Response:
        wanted = await _json(request)
        if not isinstance(wanted, dict):
            raise EventGridError("The request's body has to be a JSON object.")
        settings = SubscriptionSettings.model_validate({**wanted, "name": request.match_info["subscription"]})
        subscription = await self._service.create_subscription(
            request.match_info["topic"], settings, wait_seconds=_number(request, "wait", 0.0)
        )
        return web.json_response(_shown(subscription), status=201)

    async def show_subscription(self, request: web.Request) -> web.Response:
        subscription = self._service.subscription(request.match_info["topic"], request.match_info["subscription"])
        return web.json_response({**_shown(subscription), "lastFailures": subscription.failures.as_list()})

    async def delete_subscription(self, request: web.Request) -> web.Response:
        await self._service.delete_subscription(request.match_info["topic"], request.match_info["subscription"])
        return web.Response(status=204)

    async def metrics(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                topic.name: {
                    "metrics": topic.counters.as_dict(),
                    "subscriptions": {
                        subscription.settings.name: subscription.counters.as_dict()
                        for subscription in topic.subscriptions.values()
                    },
                }
                for topic in self._service.topics()
            }
        )

    async def pending(self, request: web.Request) -> web.Response:
        limit = int(_number(request, "limit", 200))
        return web.json_response({"now": self._now(), "pending": self._service.pending(limit)})

    async def show_clock(self, _: web.Request) -> web.Response:
        return web.json_response({"now": self._now(), "rate": self._service.clock.rate})

    async def set_clock(self, request: web.Request) -> web.Response:
        wanted = ClockRequest.model_validate(await _json(request))
        if wanted.rate is not None:
            self._service.clock.set_rate(wanted.rate)
        if wanted.advance_seconds is not None:
            self._service.clock.advance(wanted.advance_seconds)
        return await self.show_clock(request)

    async def idle(self, request: web.Request) -> web.Response:
        idle = await self._service.wait_until_idle(_number(request, "timeout", 0.0))
        return web.json_response({"idle": idle, "now": self._now()})

    def _faults(self, request: web.Request) -> Faults:
        topic = self._service.topic(request.match_info["topic"])
        name = request.match_info.get("subscription")
        return topic.faults if name is None else topic.subscription(name).faults

    def _topic(self, name: str) -> dict[str, Any]:
        return self._service.topic(name).shown(self._service.topic_endpoint(name))

    def _now(self) -> str:
        return timestamp(self._service.clock.time())


def _shown(subscription: Subscription) -> dict[str, Any]:
    return {
        **subscription.settings.shown(),
        "provisioningState": subscription.provisioning_state,
        "metrics": subscription.counters.as_dict(),
    }


async def _json(request: web.Request) -> Any:
    try:
        return await request.json()
    except ValueError as error:
        raise EventGridError(f"The request's body is not JSON: {error}.") from error


def _number(request: web.Request, name: str, default: float) -> float:
    text = request.query.get(name)
    try:
        return default if text is None else float(text)
    except ValueError as error:
        raise EventGridError(f"The query parameter '{name}' has to be a number, not '{text}'.") from error


@web.middleware
async def _answer_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except EventGridError as error:
        return _refusal(error)
    except ValidationError as error:
        # Pydantic's own text repeats the input, which can hold keys.
        faults = "; ".join(_fault(fault["loc"], fault["msg"]) for fault in error.errors())
        return _refusal(EventGridError(f"Invalid settings: {faults}.", code="InvalidRequest"))
    except web.HTTPNotFound:
        return _refusal(UnknownResourceError(f"There is nothing at {request.path}."))


def _fault(place: tuple[int | str, ...], message: str) -> str:
    return f"'{'.'.join(map(str, place))}': {message}" if place else message


def _refusal(error: EventGridError) -> web.Response:
    log.info("refused: %s", error)
    return web.json_response(error.body(), status=error.status)
