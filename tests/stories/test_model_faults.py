"""The law of the walks has teeth: each fault that is planted here is caught by it.

A fault is one decision of the relay made wrongly, by a few lines in its place. The walk is a script
of the same steps that Hypothesis would choose; without a fault all the scripts together hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from walk import Relay

from relay.delivery import escalation, news
from relay.delivery.acknowledging import Acknowledging
from relay.delivery.asking import Asking
from relay.delivery.hearing import Hearing, Result
from relay.delivery.inbox import Inbox
from relay.model import Kind, Outcome
from relay.queue import states
from relay.queue.states import Event, State
from relay.report import notices
from relay.smsc import callbacks, outcomes
from relay.web.callbacks import Callbacks

Patch = pytest.MonkeyPatch


# -- what happens ---------------------------------------------------------------------------------


def mail(walk: Relay, fate: str, *, faults: tuple[str, ...] = (), notify: str = "", text: str = "") -> None:
    """A mail to a number with that fate; what its calls meet."""
    phone = f"7999123{fate}"
    to = [(f"{phone}@sms.example.com", frozenset({f"+{phone}"}))]
    walk.mail(to=to, text=text, notify=notify, fates=list(faults))


def lost_answer(walk: Relay) -> None:
    """The provider has the message, and its answer is lost."""
    mail(walk, "4567", faults=("accepted-reset",))
    walk.time_passes(seconds=30)


def late_acceptance(walk: Relay) -> None:
    """The provider takes the message after it said twice that it knows nothing of it."""
    mail(walk, "4568", faults=("late-12",))
    walk.time_passes(seconds=30)


def failure(walk: Relay) -> None:
    """A number that can't be reached."""
    mail(walk, "2006")
    walk.time_passes(seconds=30)


def no_word(walk: Relay) -> None:
    """A message of which nobody can say what became."""
    mail(walk, "0122")


def out_of_order(walk: Relay) -> None:
    """Delivered is told before it is told that the operator has it."""
    mail(walk, "4569", notify="SUCCESS,FAILURE")
    walk.time_passes(seconds=5)
    walk.statuses_are_told(told=[(-1, "once", 0), (-2, "once", 0)], at_once=False)


def forged(walk: Relay) -> None:
    """Somebody who does not know the secret says the contrary of what is true."""
    mail(walk, "4570")
    walk.time_passes(seconds=5)
    walk.statuses_are_told(told=[(-1, "forged", 0)], at_once=False)


def arrival(walk: Relay) -> None:
    """A message for two mails expires, which is told, and arrives after all, which is told twice."""
    mail(walk, "0130", text="same")
    mail(walk, "0130", text="same")
    walk.time_passes(seconds=30)
    walk.arrives_after_all(which=-1, known=True, times=2, at_once=False)


def acknowledgement(walk: Relay) -> None:
    """An alarm in the night is taken; the reply is called and listed."""
    walk.alarm_is_taken(before=11, called=True, listed=True, fates=[])


SCRIPTS = (
    lost_answer,
    late_acceptance,
    failure,
    no_word,
    out_of_order,
    forged,
    arrival,
    acknowledgement,
)


# -- what is done wrongly -------------------------------------------------------------------------


def sent_again_without_asking(plant: Patch) -> None:
    """A call that broke off is taken for one that was refused."""
    refused = Outcome(kind=Kind.LATER, status="4.4.1", reason="the call broke off", code="0")
    plant.setattr(outcomes, "broke_off", lambda _why="": refused)


def repeated_under_a_new_id(plant: Patch) -> None:
    """What nobody knows of goes out anew, where the provider's filter does not know it again."""

    async def repeat(self: Asking, request: Any, orders: Any, now: int) -> None:
        again = [self._again(order, now, request.id, "not found") for order in orders]
        await self._settler.surely(again, partial(self._sending.close, request))

    plant.setattr(Asking, "_repeat", repeat)


def said_twice(plant: Patch) -> None:
    """Each final word is owed two times."""
    real = notices.after_move
    plant.setattr(notices, "after_move", lambda *known, **named: real(*known, **named) * 2)


def never_said(plant: Patch) -> None:
    """No final word is owed."""
    plant.setattr(notices, "after_move", lambda *_known, **_named: [])


def silence_taken_for_failure(plant: Patch) -> None:
    """What nobody can answer is called failed."""
    plant.setitem(news.EVENT_OF, Kind.UNKNOWN, Event.EXPIRED)


def a_final_state_left(plant: Patch) -> None:
    """What is delivered is on its way once more when an older status is heard."""
    plant.setitem(states.MOVES, State.DELIVERED, {Event.ACCEPTED: State.SENT})


def everybody_believed(plant: Patch) -> None:
    """A signature is not looked at."""
    plant.setattr(callbacks, "verified", lambda _callback, _secret: True)


def obeyed_though_refused(plant: Patch) -> None:
    """A call with a wrong signature is answered 403, and done."""
    real, verified = Callbacks._read, callbacks.verified

    async def read(self: Callbacks, request: Any, query: str) -> Any:
        plant.setattr(callbacks, "verified", lambda _callback, _secret: True)
        found = await real(self, request, query)
        plant.setattr(callbacks, "verified", verified)
        if isinstance(found, Result) or verified(found, self._config.web.callback_secret.get_secret_value()):
            return found
        await self._taken("main", found)
        return Result.FORGED

    plant.setattr(Callbacks, "_read", read)


def corrected_each_time(plant: Patch) -> None:
    """That it arrived after all is owed as often as it is told."""
    plant.setattr(Hearing, "_known", _never)
    real = notices.correction
    plant.setattr(
        notices,
        "correction",
        lambda order, *known, **named: real(order.changed(kind="expired"), *known, **named),
    )


def never_corrected(plant: Patch) -> None:
    """That it arrived after all is told to nobody."""
    plant.setattr(notices, "correction", lambda *_known, **_named: [])


def only_one_sender_corrected(plant: Patch) -> None:
    """That it arrived after all is not told to those for whom the order spoke."""
    real = notices.correction
    plant.setattr(
        notices,
        "correction",
        lambda order, *known, **named: [] if order.state is State.MERGED else real(order, *known, **named),
    )


def steps_run_on(plant: Patch) -> None:
    """An acknowledgement ends no step."""
    add, judge = Acknowledging._add, escalation.judge

    def leave(self: Acknowledging, change: Any, taken: Any, one: Any) -> None:
        taken.steps = []
        add(self, change, taken, one)

    def unanswered(step: Any, family: Any, steps: Any, **named: Any) -> Any:
        return judge(step, [each.changed(answered_at=None) for each in family], steps, **named)

    plant.setattr(Acknowledging, "_add", leave)
    plant.setattr(escalation, "judge", unanswered)


def replies_doubled(plant: Patch) -> None:
    """What is called and listed counts twice."""
    plant.setattr(Inbox, "_known", _never)


async def _never(*_arguments: Any) -> bool:
    return False


FAULTS: dict[Callable[[Patch], None], tuple[Callable[[Relay], None], str]] = {
    sent_again_without_asking: (lost_answer, "2 messages under"),
    repeated_under_a_new_id: (late_acceptance, "2 messages under"),
    said_twice: (failure, "owes Counter.*, owned up to"),
    never_said: (failure, "owes Counter.*, owned up to"),
    silence_taken_for_failure: (no_word, r"failed, the provider says \[0\]"),
    a_final_state_left: (out_of_order, "heard {'delivered': 2}"),
    everybody_believed: (forged, "answered 200, not 403"),
    obeyed_though_refused: (forged, r"failed, the provider says \[1\]"),
    corrected_each_time: (arrival, "was corrected 2 times, not 1 to 1"),
    never_corrected: (arrival, "was corrected 0 times, not 1 to 1"),
    only_one_sender_corrected: (arrival, "merged was corrected 0 times, not 1 to 1"),
    steps_run_on: (acknowledgement, "ran after the alarm was taken"),
    replies_doubled: (acknowledgement, "phones said"),
}


@pytest.fixture
def walk() -> Iterator[Relay]:
    """A walk that has begun; nothing of it stays, however it ends."""
    one = Relay()
    one.begin()
    yield one
    one.broken = True
    if not one.ended:
        one.teardown()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_caught(fault: Callable[[Patch], None], walk: Relay, monkeypatch: Patch) -> None:
    """The script that meets it ends in a breach, and in the right one."""
    script, breach = FAULTS[fault]
    fault(monkeypatch)
    with pytest.raises(AssertionError, match=breach):
        _walked(walk, script)


def test_without_a_fault_the_same_scripts_hold(walk: Relay) -> None:
    """One after the other, in one life."""
    _walked(walk, *SCRIPTS)


def _walked(walk: Relay, *scripts: Callable[[Relay], None]) -> None:
    for script in scripts:
        script(walk)
    walk.teardown()
