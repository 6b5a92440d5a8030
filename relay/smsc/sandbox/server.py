"""The sandbox: the provider's HTTP door on a socket of its own.

Takes calls to `/sys/send.php`, `/sys/status.php`, `/sys/balance.php`, `/sys/get.php` and
`/rest/send/`, has them judged, and answers in the bytes of the vendor. It speaks no TLS. Where it
knows a handler it calls that too, of statuses and of what phones send.

What goes wrong here goes wrong on purpose: `fault` and the fates of numbers break answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import defaultdict, deque
from decimal import Decimal
from typing import TYPE_CHECKING

from aiohttp import web

from relay.smsc.sandbox import formats, limits
from relay.smsc.sandbox.caller import Caller
from relay.smsc.sandbox.decode import Decoded, decode, decode_json
from relay.smsc.sandbox.fates import Break
from relay.smsc.sandbox.model import TOO_MANY, Call, Message, RefusalError
from relay.smsc.sandbox.provider import Provider, Sent, fmt_of
from relay.smsc.sandbox.questions import Questions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Endpoint = Callable[[str, Decoded], Sent | str]

JSON_DOOR = "/rest/send/"
ACCEPTED = "accepted-"
MAX_BODY = 256 * 2**20
#: The header says windows-1251 whatever charset the body is in; so it was recorded.
CONTENT_TYPES = {
    0: "text/plain; charset=windows-1251",
    1: "text/plain; charset=windows-1251",
    2: "text/xml; charset=windows-1251",
    3: "application/json; charset=windows-1251",
}
_JSON_TYPE = "application/json; charset=utf-8"
_CLIENT_FAULTS = frozenset({1, 2, 5, 6, 7, 8})


class Sandbox:
    """A look-alike of the provider that can be looked into.

    `fault` refuses every send with an error (1 to 9), or breaks every call in the way of
    that name (`Break`): before anything is accepted, or after with `accepted-` before the
    name. `next_faults` does so to the next calls one by one, `next_send_faults` to the next sends.
    `handler` is the address for statuses as an account's settings would have it; "" for none.
    """

    def __init__(
        self,
        *,
        latency: float = 0.0,
        steps: tuple[float, float] = (1.0, 2.0),
        now: Callable[[], float] = time.time,
        balance: str = "1000.00",
        block_after: int | None = None,
        credentials: Mapping[str, str] | None = None,
        slow: float = 5.0,
        handler: str = "",
    ) -> None:
        self.latency = latency
        self.slow = slow
        self.calls: list[Call] = []
        self.max_in_flight = 0
        self.fault: int | str | None = None
        self.next_faults: deque[int | str] = deque()
        self.next_send_faults: deque[int | str] = deque()
        self._now = now
        self._provider = Provider(now=now, steps=steps, balance=balance, credentials=credentials)
        self._questions = Questions(self._provider)
        self.caller = Caller(handler, lambda: self.messages, now) if handler else None
        self._blocks = limits.Blocks(block_after)
        self._in_flight: defaultdict[str, int] = defaultdict(int)
        self._runner: web.AppRunner | None = None
        self._leaving = asyncio.Event()
        self._changed = asyncio.Event()
        self._endpoints: dict[str, Endpoint] = {
            "/sys/send.php": self._provider.send,
            JSON_DOOR: self._provider.send,
            "/sys/status.php": self._questions.status,
            "/sys/balance.php": self._questions.balance,
            "/sys/get.php": self._questions.get,
        }

    @property
    def messages(self) -> list[Message]:
        """Every message that exists at the provider, in the order of acceptance."""
        return self._provider.messages

    @property
    def balances(self) -> defaultdict[str, Decimal]:
        """What each login has left; may be set."""
        return self._provider.balances

    @property
    def groups(self) -> dict[str, list[str]]:
        """The members of each group, by its number."""
        return self._provider.groups

    def set_balance(self, amount: str) -> None:
        """Give every account, known or to come, the same balance."""
        self._provider.set_balance(Decimal(amount))

    def messages_to(self, phone: str) -> list[Message]:
        """Return the messages to one phone or address."""
        return [message for message in self.messages if message.phone == phone.removeprefix("+")]

    def status_of(self, message: Message) -> int:
        """Return the status a message has now."""
        return message.at(self._now()).status

    def receive(self, phone: str, text: str, to_phone: str = "79990000000") -> None:
        """Let a phone send a message to the account, for `get_answers`."""
        inbox = self._questions.incoming
        inbox.append(formats.Incoming(len(inbox) + 1, phone, text, to_phone, self._now()))
        if self.caller is not None:
            self.caller.message(inbox[-1])

    def confirm(self, phone: str, to_phone: str = "79990000000") -> None:
        """Let a subscriber call to confirm his number: recorded as a message, and told as a call."""
        inbox = self._questions.incoming
        inbox.append(formats.Incoming(len(inbox) + 1, phone, "[waitcall] ", to_phone, self._now()))
        if self.caller is not None:
            self.caller.confirming(phone)

    def call_handler(self, handler: str) -> None:
        """Tell this handler from now on, in the place of an earlier one."""
        if self.caller is None:
            self.caller = Caller(handler, lambda: self.messages, self._now)
            if self._runner is not None:
                self.caller.start()
        self.caller.handler = handler

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; looked at whenever a call comes or is over."""
        while not holds():
            self._changed.clear()
            await self._changed.wait()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Open the door; return the base address, to which `/sys/send.php` is appended."""
        self._leaving.clear()
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        # A client that leaves must free its slot at once, hence the cancellation.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        if self.caller is not None:
            self.caller.start()
        bound = self._runner.addresses[0][1]
        return f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"

    async def stop(self) -> None:
        """Close the door; calls kept in silence are reset."""
        self._leaving.set()
        if self.caller is not None:
            await self.caller.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        started_at = self._now()
        body = await request.read()
        door = request.path == JSON_DOOR
        refusal: RefusalError | None = None
        try:
            decoded = decode_json(body) if door else _decode(request, body)
        except RefusalError as error:
            refusal, decoded = error, Decoded(charset="utf-8")
        call = Call(
            path=request.path,
            method=request.method,
            params={key: value for key, value in decoded.params.items() if key not in {"psw", "apikey"}},
            files=decoded.files,
            headers=dict(request.headers),
            body=body,
            started_at=started_at,
        )
        self.calls.append(call)
        self._changed.set()
        if door:
            decoded.params["fmt"] = "3"  # this door answers in JSON whatever is asked for
        try:
            return await self._answer(request, call, decoded, refusal)
        finally:
            call.finished_at = self._now()
            self._changed.set()

    async def _answer(
        self, request: web.Request, call: Call, decoded: Decoded, refusal: RefusalError | None
    ) -> web.StreamResponse:
        endpoint = self._endpoints.get(call.path)
        if endpoint is None or call.method not in {"GET", "POST"}:
            return _written(call, 404, "text/html", _page("404 Not Found"))
        with contextlib.suppress(RefusalError):
            call.login = self._provider.login_of(decoded.params)
        fault = self._next_fault(is_send=endpoint == self._provider.send)
        with self._slot(call.login):
            try:
                found = self._judge(endpoint, call, decoded, refusal, fault, request.remote or "")
            except RefusalError as error:
                if error.code in _CLIENT_FAULTS:
                    self._blocks.erred(request.remote or "", self._now())
                found = Sent(formats.error(fmt_of(decoded.params), error))
            await asyncio.sleep(self.latency)
            return await self._deliver(request, call, decoded, found)

    def _judge(
        self,
        endpoint: Endpoint,
        call: Call,
        decoded: Decoded,
        refusal: RefusalError | None,
        fault: int | str | None,
        address: str,
    ) -> Sent:
        """Return what is to be answered, and how the answer breaks; raise the refusal."""
        way = Break(fault.removeprefix(ACCEPTED)) if isinstance(fault, str) else None
        if isinstance(fault, str) and way is not Break.SLOW and not fault.startswith(ACCEPTED):
            return Sent("", way)
        if self._blocks.is_blocked(address, self._now()):
            raise RefusalError(4)
        if refusal is not None:
            raise refusal
        login = self._provider.login_of(decoded.params)
        if self._in_flight[call.login] >= limits.CONCURRENT:
            raise RefusalError(9, TOO_MANY)
        if isinstance(fault, int):
            raise self._provider.refuse(login, decoded, fault)
        answer = endpoint(login, decoded)
        found = answer if isinstance(answer, Sent) else Sent(answer)
        return found if way is None else Sent(found.answer, way)

    async def _deliver(
        self, request: web.Request, call: Call, decoded: Decoded, found: Sent
    ) -> web.StreamResponse:
        """Write the answer, or break it in its way."""
        fmt = fmt_of(decoded.params)
        content_type = _JSON_TYPE if call.path == JSON_DOOR else CONTENT_TYPES[fmt]
        body = found.answer.encode(decoded.charset, "replace")
        match found.broken:
            case Break.SILENCE | Break.RESET:
                if found.broken is Break.SILENCE:
                    await self._leaving.wait()
                _reset(request)
                return web.Response()
            case Break.HTTP500:
                return _written(call, 500, "text/html", _page("500 Internal Server Error"))
            case Break.HTML:
                return _written(call, 200, "text/html", _page("Technical works"))
            case Break.EMPTY:
                return _written(call, 200, content_type, b"")
            case Break.CUT:
                return _written(call, 200, content_type, body[: len(body) // 2] or b'{\n"')
            case Break.SLOW:
                await asyncio.sleep(self.slow)
            case None:
                pass
        return _written(call, 200, content_type, body)

    @contextlib.contextmanager
    def _slot(self, login: str) -> Iterator[None]:
        """Count a call as under way; calls that name no account count for nobody."""
        self._in_flight[login] += 1
        if login:
            self.max_in_flight = max(self.max_in_flight, self._in_flight[login])
        try:
            yield
        finally:
            self._in_flight[login] -= 1

    def _next_fault(self, *, is_send: bool) -> int | str | None:
        if self.next_faults:
            return self.next_faults.popleft()
        if is_send and self.next_send_faults:
            return self.next_send_faults.popleft()
        if isinstance(self.fault, int) and not is_send:
            return None
        return self.fault


def _decode(request: web.Request, body: bytes) -> Decoded:
    """Read a call as it came over the wire: the target unquoted by nobody before us."""
    query = request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")
    return decode(query, request.headers.get("Content-Type", ""), body)


def _written(call: Call, status: int, content_type: str, body: bytes) -> web.Response:
    call.status, call.answer = status, body
    return web.Response(status=status, body=body, headers={"Content-Type": content_type})


def _page(title: str) -> bytes:
    return f"<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1></body>\n</html>\n".encode()


def _reset(request: web.Request) -> None:
    """Break the connection so that the client's kernel sees a reset, not an end."""
    transport = request.transport
    if transport is not None:
        found = transport.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
