"""The API that the command line uses: JSON over the unix socket.

Ids are text here as everywhere outside. What a person does to an order goes through `settle`
like any other news, so that it stands in the order's story and its sender hears of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from email.utils import parseaddr
from functools import partial
from typing import Any, Protocol

from aiohttp import web

from relay import model, replies
from relay.config import Config
from relay.delivery import caps
from relay.delivery.counting import Counting
from relay.delivery.membership import Membership
from relay.delivery.news import News, person
from relay.delivery.settle import Settler
from relay.delivery.worker import Worker
from relay.message import channels, orders, routes
from relay.message.recogniser import Recogniser
from relay.message.routes import Resolved
from relay.model import Envelope, Kind, Letter, Recipient
from relay.queue import intake, schema, states
from relay.queue.engine import Change, Trouble
from relay.queue.rows import Order
from relay.queue.states import Event, State
from relay.queue.store import Store, tell
from relay.replies import Reply

MOST = 1000
_ACTIONS = {
    "hold": (Event.HELD, Kind.LATER, "4.7.1", "held by the operator"),
    "release": (Event.RELEASED, Kind.LATER, "4.0.0", "released by the operator"),
    "drop": (Event.DROPPED, Kind.REFUSED, "5.7.0", "dropped by the operator"),
}


class Relay(Protocol):
    """What this room needs of the assembly."""

    config: Config
    recognisers: Sequence[Recogniser]
    store: Store
    settler: Settler
    counts: Counting
    workers: dict[str, Worker]
    membership: Membership | None
    kick: Callable[[set[str]], None]
    queued: Callable[[set[str]], None]


class Api:
    """The handlers of `/api/`."""

    def __init__(self, relay: Any) -> None:
        self._relay: Relay = relay
        self._since = self._relay.store.clock.now()

    def routes(self) -> list[web.RouteDef]:
        """The paths that this room answers."""
        return [
            web.get("/api/queue", self._list),
            web.get("/api/queue/{id}", self._show),
            web.post("/api/queue/{id}/retry", self._retry),
            web.post("/api/queue/{id}/{action:hold|release|drop}", self._act),
            web.post("/api/send", self._send),
            web.get("/api/nodes", self._nodes),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        try:
            wanted = [State(state) for state in request.query.getall("state", [])]
            many = max(1, min(MOST, int(request.query.get("limit", "100"))))
        except ValueError:
            return _wrong("state is one of " + ", ".join(State) + "; limit is a number")
        found = await self._relay.store.listed(wanted or list(State), many)
        return _answer([_brief(order) for order in found])

    async def _show(self, request: web.Request) -> web.Response:
        order = await self._order(request)
        if isinstance(order, web.Response):
            return order
        store = self._relay.store
        mail = (await store.mails({order.mail_id})).get(order.mail_id)
        recipient = (await store.recipients({order.recipient_id})).get(order.recipient_id)
        content = (await store.contents({order.content_id or 0})).get(order.content_id or 0)
        steps = [
            step
            for step in await store.steps_of_mails([order.mail_id])
            if order.recipient_id in (step.recipient_id, step.made_id)
        ]
        told = [n for n in await store.notices_of(order.mail_id) if n.order_id == order.id]
        whole = _brief(order) | {
            "mail": {"id": model.show(order.mail_id)}
            | (
                {
                    "from": mail.sender,
                    "subject": mail.subject,
                    "received_at": mail.received_at,
                    "source": mail.source,
                    "results": mail.results,
                }
                if mail
                else {}
            ),
            "recipient": recipient.address if recipient else "",
            "text": content.text if content else "",
            "params": content.form if content else {},
            "files": [file.name or file.type for file in content.attachments] if content else [],
            "notes": list(content.said) if content else [],
            "attempts": order.attempts,
            "request": model.show(order.request_id) if order.request_id else "",
            "accounts": list(order.choice) if order.account else [],
            "alarm": order.alarm,
            "label": order.label,
            "expire_at": order.expire_at,
            "due_at": order.due_at,
            "held_by": "" if order.cap == caps.PASSED else order.cap,
            "reports": [{"action": n.action, "state": n.state, "said": n.last} for n in told],
            "answered_at": order.answered_at,
            "steps": [
                {
                    "n": step.n,
                    "what": step.channel or step.goal,
                    "unless": step.unless,
                    "state": step.state.value,
                    "due_at": step.due_at,
                    "ended_at": step.ended_at,
                    "said": step.said,
                }
                for step in steps
            ],
            "story": [
                {"at": line["at"], "event": line["event"], "detail": line["detail"]}
                for line in await store.story(order.id)
            ],
        }
        return _answer(whole)

    async def _act(self, request: web.Request) -> web.Response:
        order = await self._order(request)
        if isinstance(order, web.Response):
            return order
        action = request.match_info["action"]
        event, kind, status, reason = _ACTIONS[action]
        if order.finished_at is not None or not states.can(order.state, event):
            return _wrong(f"an order that is {order.state} can't be {event}", 409)
        outcome = person(kind, status, reason)
        columns: dict[str, Any] = {}
        if event is Event.RELEASED:  # whoever lets an order go that a cap held, lets it pass all of them
            passed = caps.PASSED if order.cap else ""
            columns = {"due_at": self._relay.store.clock.now(), "cap": passed}
        try:
            await self._relay.settler.settle(
                [News(order=order.id, event=event, outcome=outcome, columns=columns)]
            )
        except Trouble as trouble:
            return _wrong(f"the store did not take it: {trouble}", 503)
        self._relay.kick({order.account})
        fresh = (await self._relay.store.orders([order.id]))[0]
        return _answer(_brief(fresh))

    async def _retry(self, request: web.Request) -> web.Response:
        """A final order is sent again as a new one; an unfinished one needs no retry."""
        order = await self._order(request)
        if isinstance(order, web.Response):
            return order
        if order.finished_at is None:
            return _wrong(f"an order that is {order.state} is not over yet", 409)
        if order.content_id is None:
            return _wrong("this order was refused before it had a text to send", 409)
        content = (await self._relay.store.contents({order.content_id})).get(order.content_id)
        if content is None or not (content.text or content.attachments):
            return _wrong("its text is no longer kept (keep.texts), so it can't be sent again", 409)
        again = _again(order, self._relay.store)
        change = Change()
        change.insert(schema.orders, **again)
        self._relay.counts.taken(change, [Order.of(again)])
        tell(change, self._relay.store, order.id, "retried", f"as {model.show(again['id'])}")
        tell(change, self._relay.store, again["id"], "queued", f"a retry of {model.show(order.id)}")
        try:
            await self._relay.store.write(change)
        except Trouble as trouble:
            return _wrong(f"the store did not take it: {trouble}", 503)
        self._relay.queued({again["account"]})
        return _answer(_brief(Order.of(again)))

    async def _send(self, request: web.Request) -> web.Response:
        """One message through the queue, as if a mail had asked for it."""
        try:
            asked = await request.json()
            to, text, channel = str(asked["to"]), str(asked["text"]), str(asked.get("channel", ""))
        except (ValueError, LookupError, TypeError):
            return _wrong('send {"to": …, "text": …, "channel": …}')
        resolved = self._resolved(to, channel)
        if isinstance(resolved, Reply):
            return _wrong(f"{resolved.status} {resolved.text}", 422)
        if resolved.channel == channels.FORWARD:
            return _wrong("5.3.3 this address takes whole mails, and this is none: send it by SMTP", 422)
        store = self._relay.store
        now = store.clock.now()
        envelope = Envelope(sender="", source="command line", recipients=(Recipient(address=to),))
        letter = Letter(plain=text, readable=text)
        composed = orders.compose(
            letter,
            envelope,
            [resolved],
            now=now,
            fallback_sender=parseaddr(self._relay.config.reports.from_)[1],
            recognisers=self._relay.recognisers,
            zone=store.clock.zone,
        )
        full = await self._relay.counts.refused(caps.wants(envelope.source, composed.drafts))
        composed = composed.refusing({number: replies.capped(over.why) for number, over in full.items()})
        if composed.refusals:
            refused = composed.refusals[0].reply
            return _wrong(f"{refused.status} {refused.text}", 422)
        made = partial(
            intake.change_for, envelope, letter, composed, mail_id=store.ids.new(now), ids=store.ids, now=now,
            size=len(text), files={}, full_id=None,
        )  # fmt: skip
        try:
            taken, _first = await self._relay.counts.written(made)
        except Trouble as trouble:
            return _wrong(f"the store did not take it: {trouble}", 503)
        self._relay.queued({order.account for order in taken.orders})
        return _answer([_brief(order) for order in taken.orders])

    async def _nodes(self, _request: web.Request) -> web.Response:
        """The nodes that share the queue: an SQLite store is one process's own."""
        relay = self._relay
        if relay.membership is None:
            calls = sum(worker.calls for worker in relay.workers.values())
            return _answer(
                [{"node": relay.config.hostname, "store": "sqlite", "since": self._since, "calls": calls}]
            )
        try:
            found = await relay.membership.all()
        except Trouble as trouble:
            return _wrong(f"the store can't tell: {trouble}", 503)
        return _answer(
            [
                {
                    "node": node.name,
                    "number": node.id,
                    "store": "postgresql",
                    "part": node.part,
                    "version": node.version,
                    "since": node.started_at,
                    "seen": node.seen_at,
                    "lives": node.lives,
                    "leads": node.leads,
                    "calls": node.in_flight,
                }
                for node in found
            ]
        )

    def _resolved(self, to: str, channel: str) -> Resolved | Reply:
        config = self._relay.config
        if not to.isprintable():
            return replies.reply(553, "5.1.3", "the address holds a character that can't be printed")
        if "@" in to:
            found = routes.resolve(to, config.routes, config.aliases)
            if channel and isinstance(found, Resolved) and channel != found.channel:
                return replies.reply(
                    550,
                    "5.5.4",
                    f"the address has the channel {found.channel}: leave its domain out, or the channel",
                )
            return found
        wanted = channel or "sms"
        if wanted in channels.CHANNELS and not channels.CHANNELS[wanted].phone:
            return replies.reply(
                553, "5.1.3", f"the channel {wanted} needs a whole address, write user@domain"
            )
        for route in config.routes:
            if route.channel == wanted:
                return routes.on_route(to, route, config.aliases)
        for route in config.routes:
            if wanted == "flash" and route.channel == "sms":  # the same route, shown at once
                found = routes.on_route(to, route, config.aliases)
                return found if isinstance(found, Reply) else replace(found, channel=wanted, named=True)
        return Reply(550, "5.1.2", f"no route has the channel {wanted}")

    async def _order(self, request: web.Request) -> Order | web.Response:
        try:
            found = await self._relay.store.orders([model.unshow(request.match_info["id"])])
        except ValueError as error:
            return _wrong(str(error))
        return found[0] if found else _wrong("no such order", 404)


def _again(order: Order, store: Store) -> dict[str, Any]:
    now = store.clock.now()
    values = asdict(order)
    values |= {
        "id": store.ids.new(now), "version": 1, "parent_id": None, "merged_into": None, "request_id": None,
        "account": order.choice[0], "state": State.WAITING.value, "due_at": now, "batch": 0,
        "attempts": 0, "lease_until": None,
        "created_at": now, "start_at": now, "expire_at": now + max(60_000, order.expire_at - order.start_at),
        "sent_at": None, "finished_at": None, "warn_at": None, "poll_at": None, "polls": 0,
        "kind": "", "status": "", "reason": "", "code": "", "words": "", "cost": "", "parts": 0,
        "cap": "", "counted_at": now,
        "digests": 0, "over_at": None, "answered_at": None, "asleep": 0,
    }  # fmt: skip
    return values


def _brief(order: Order) -> dict[str, Any]:
    return {
        "id": model.show(order.id),
        "state": order.state.value,
        "channel": order.channel,
        "account": order.account,
        "to": order.target,
        "created_at": order.created_at,
        "finished_at": order.finished_at,
        "status": order.status,
        "reason": order.reason,
        "code": order.code,
        "words": order.words,
        "parts": order.parts,
        "cost": order.cost,
    }


def _answer(value: Any) -> web.Response:
    return web.json_response(value, dumps=lambda what: json.dumps(what, ensure_ascii=False))


def _wrong(text: str, status: int = 400) -> web.Response:
    return web.json_response({"error": text}, status=status)
