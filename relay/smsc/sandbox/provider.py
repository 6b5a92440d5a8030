"""The provider's books: accounts, messages, and what each endpoint does with them.

Sources: the vendor's pages on sending, statuses, balance and data. Time is asked of `now`
and nothing here waits: statuses are computed from the time of acceptance, and what is
accepted late is entered when the clock has come so far and somebody looks.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict, deque
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from relay.smsc.sandbox import formats, limits, rules
from relay.smsc.sandbox.fates import Break, Fate, fate_of
from relay.smsc.sandbox.model import WITH_ID, Bad, Draft, Kind, Message, RefusalError, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relay.smsc.sandbox.decode import Decoded

WRONG = "wrong"  # the password and the key that open nothing
FLOODED = (23, 239)  # status and err of a message too many in a chain
#: Parameters that do not make one request differ from another.
ASIDE = frozenset({"login", "psw", "apikey", "fmt", "charset", "cost", "op"})


class Sent(NamedTuple):
    """The answer to a send, and how it fails to arrive, if it does."""

    answer: str
    broken: Break | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A request that is to be entered in the books."""

    login: str
    ident: str
    drafts: tuple[Draft, ...]
    cost: Decimal
    params: dict[str, str]
    mark: str


class Provider:
    """All accounts of one provider."""

    def __init__(
        self,
        *,
        now: Callable[[], float],
        steps: tuple[float, float],
        balance: str,
        credentials: Mapping[str, str] | None,
    ) -> None:
        self.now = now
        self.steps = steps
        self.credentials = credentials
        self.balances: defaultdict[str, Decimal] = defaultdict(lambda: Decimal(balance))
        self.groups: dict[str, list[str]] = {"777": ["79990000771", "79990000772", "79990000773"]}
        self._messages: list[Message] = []
        self._by_name: dict[tuple[str, str, str], Message] = {}
        self._ids: defaultdict[str, int] = defaultdict(int)
        self._numbers = itertools.count(1)
        self._late: list[tuple[float, Taken]] = []
        self._accepted: dict[tuple[str, str], float] = {}  # account and mark -> when accepted
        self._ageing: deque[tuple[float, tuple[str, str]]] = deque()
        self._first: dict[tuple[str, str, str], float] = {}  # fates that know a first time
        self._chains = limits.Chains()
        self._prices = limits.Window(5)

    def set_balance(self, amount: Decimal) -> None:
        """Give every account, known or to come, the same balance."""
        self.balances.default_factory = lambda: amount
        for login in self.balances:
            self.balances[login] = amount

    def find(self, login: str, phone: str, ident: str) -> Message | None:
        """Return the newest message of an account to a phone under an id."""
        self._catch_up()
        return self._by_name.get((login, _key(phone), rules.plain(ident)))

    def delete(self, message: Message) -> None:
        """Take a message out of the books."""
        self._messages.remove(message)
        del self._by_name[message.login, _key(message.phone), message.id]

    @property
    def messages(self) -> list[Message]:
        """Every message that exists by now."""
        self._catch_up()
        return self._messages

    def login_of(self, params: Mapping[str, str]) -> str:
        """Return the account a call is for, or refuse with error 2.

        A password may come as its MD5, as the older official libraries say.
        """
        login, psw, key = params.get("login", ""), params.get("psw", ""), params.get("apikey", "")
        if self.credentials is None:
            right = bool((login and psw) or key) and WRONG not in {psw, key}
        elif key:
            right = key in self.credentials.get("", "").replace(",", " ").split()
        else:
            known = self.credentials.get(login, "") if login else ""
            right = bool(known) and psw in {known, hashlib.md5(known.encode()).hexdigest()}  # noqa: S324
        if not right:
            raise RefusalError(2)
        # Several keys are several accounts; the key itself is not shown.
        return login or f"key {hashlib.sha256(key.encode()).hexdigest()[:8]}"

    def send(self, login: str, request: Decoded) -> Sent:
        """Judge a request of send.php and enter what it brings."""
        try:
            return self._send(login, request)
        except RefusalError as refusal:
            if refusal.code in WITH_ID:
                raise RefusalError(refusal.code, refusal.text, ident=self._ident(login, request)) from None
            raise

    def refuse(self, login: str, request: Decoded, code: int) -> RefusalError:
        """Return the refusal of a send with an error from outside the rules."""
        return RefusalError(code, ident=self._ident(login, request) if code in WITH_ID else "")

    def _send(self, login: str, request: Decoded) -> Sent:
        self._catch_up()
        now = self.now()
        judged = rules.judge(request, self.groups, now)
        mark = mark_of(request)
        if request.params.get("cost") == "1":
            if not self._prices.allows((login, mark), now):
                raise RefusalError(9)
            return Sent(self._answer(request, "", judged.drafts, judged.bad, Decimal(0)))
        if self._is_repeat(login, mark, now):
            raise RefusalError(9)
        fates = [(draft, fate_of(draft.phone)) for draft in judged.drafts]
        self._refused_by_fate(login, fates, now)
        good = tuple(draft for draft, fate in fates if fate.bad is None)
        alone = judged.bad + tuple(
            Bad(phone=draft.phone, status=fate.bad[0], error=fate.bad[1]) for draft, fate in fates if fate.bad
        )
        cost = sum((draft.cost for draft in good), Decimal("0.00"))
        if cost > self.balances[login]:
            raise RefusalError(3)
        breaking = self._breaking(login, fates, now)
        if breaking is not None and not breaking.accepted:
            return Sent("", breaking.broken)
        taken = Taken(
            login=login,
            ident=judged.ident or self._next(login),
            drafts=good,
            cost=cost,
            params={key: value for key, value in request.params.items() if key not in {"psw", "apikey"}},
            mark=mark,
        )
        if breaking is not None and breaking.late:
            self._late.append((now + breaking.late, taken))
            return Sent("", breaking.broken)
        self._enter(taken, now)
        answer = self._answer(request, taken.ident, good, alone, self.balances[login])
        return Sent(answer, breaking.broken if breaking else None)

    def _answer(
        self,
        request: Decoded,
        ident: str,
        good: tuple[Draft, ...],
        alone: tuple[Bad, ...],
        balance: Decimal,
    ) -> str:
        listed: list[Draft | Bad] | None = None
        if request.params.get("op") == "1":
            listed = [*good, *alone]
        elif request.params.get("err") == "1":
            listed = [*alone]  # nobody has seen this answer: the form of op=1, wrong numbers alone
        return formats.sent(
            fmt_of(request.params),
            cost_mode=request.params.get("cost", ""),
            ident=ident,
            count=sum(draft.count for draft in good),
            cost=sum((draft.cost for draft in good), Decimal(0)),
            balance=balance,
            phones=listed,
        )

    def _refused_by_fate(self, login: str, fates: list[tuple[Draft, Fate]], now: float) -> None:
        for draft, fate in fates:
            if fate.refuse and fate.wait:
                first = self._first.setdefault((login, draft.phone, draft.text), now)
                if now - first < fate.wait:
                    raise RefusalError(fate.refuse)
            elif fate.refuse:
                raise RefusalError(fate.refuse)

    def _breaking(self, login: str, fates: list[tuple[Draft, Fate]], now: float) -> Fate | None:
        """Return the first fate that breaks this call; a text breaks `once` to one number once."""
        for draft, fate in fates:
            if fate.broken is not None:
                key = (login, draft.phone, draft.text)
                if fate.once and key in self._first:
                    continue
                self._first[key] = now
                return fate
        return None

    def _is_repeat(self, login: str, mark: str, now: float) -> bool:
        accepted = self._accepted.get((login, mark))
        return accepted is not None and now - accepted < limits.MINUTE

    def _enter(self, taken: Taken, at: float) -> None:
        """Accept a request at a time: pay for it, remember it, make its messages."""
        self._accepted[taken.login, taken.mark] = at
        self._ageing.append((at, (taken.login, taken.mark)))
        while at - self._ageing[0][0] >= limits.MINUTE:
            accepted, name = self._ageing.popleft()
            if self._accepted[name] == accepted:  # else the same came again, and is younger
                del self._accepted[name]
        self.balances[taken.login] -= taken.cost
        for draft in taken.drafts:
            flooded = draft.kind is not Kind.MAIL and self._chains.is_flood((taken.login, draft.phone), at)
            path = (FLOODED,) if flooded else fate_of(draft.phone).path
            message = Message(
                phone=draft.phone,
                id=taken.ident,
                login=taken.login,
                int_id=next(self._numbers),
                text=draft.text,
                comment=draft.comment,
                kind=draft.kind,
                sender=draft.sender,
                count=draft.count,
                cost=draft.cost,
                mccmnc=draft.mccmnc,
                params=dict(taken.params),
                files=list(draft.files),
                linked=draft.linked,
                macros=draft.macros,
                accepted_at=at,
                due_at=draft.due_at,
                history=self._history(path, at, draft.due_at),
            )
            self._messages.append(message)
            self._by_name[taken.login, _key(draft.phone), taken.ident] = message

    def _history(self, path: tuple[tuple[int, int], ...], at: float, due: float) -> tuple[Step, ...]:
        start = max(at, due)
        first, second = self.steps
        times = [start + first + number * (second - first) for number in range(len(path))]
        return (Step(at, -1), *(Step(moment, *step) for moment, step in zip(times, path, strict=True)))

    def _catch_up(self) -> None:
        """Enter what the clock has made due; the duplicate filter judges it then, not before."""
        now = self.now()
        due = sorted((item for item in self._late if item[0] <= now), key=lambda item: item[0])
        if due:
            self._late = [item for item in self._late if item[0] > now]
        for at, taken in due:
            if not self._is_repeat(taken.login, taken.mark, at):
                self._enter(taken, at)

    def _next(self, login: str) -> str:
        self._ids[login] += 1
        return str(self._ids[login])

    def _ident(self, login: str, request: Decoded) -> str:
        """Return the id a refusal bears; a refused request uses one up (recorded: 33, then 34)."""
        try:
            return rules.ident_of(request.params) or self._next(login)
        except RefusalError:
            return self._next(login)


def fmt_of(params: Mapping[str, str]) -> int:
    """Return the format asked for; what is none of the four is the default."""
    fmt = params.get("fmt", "")
    return int(fmt) if fmt in {"1", "2", "3"} else 0


def mark_of(request: Decoded) -> str:
    """Return what two identical requests have in common: parameters and files."""
    digest = hashlib.sha256()
    for key, value in sorted(request.params.items()):
        if key not in ASIDE:
            digest.update(repr((key, value)).encode())
    for file in request.files:
        digest.update(repr((file.name, hashlib.sha256(file.data).digest())).encode())
    return digest.hexdigest()


def _key(phone: str) -> str:
    """Return a phone as it is compared: without the plus, addresses in lower case."""
    return phone.strip().removeprefix("+").lower()
