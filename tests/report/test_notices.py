"""Which facts are owed to a sender: NOTIFY against the settings, good news once, corrections."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest

from relay.config import Reports
from relay.model import Auto, Kind, Outcome
from relay.queue import schema
from relay.queue.rows import Mail, Order, Recipient
from relay.queue.states import State
from relay.report import notices
from relay.report.notices import Fact
from relay.report.values import Action

MINUTE = 60_000
OUTCOME = Outcome(kind=Kind.REFUSED, status="5.1.3", reason="not a number")
BAD, GOOD = (State.FAILED, State.DROPPED), (State.SENT, State.DELIVERED)
NOTIFY = ["", "never", "failure", "delay", "success", "delay,failure", "delay,failure,success"]


def mail(**values: object) -> Mail:
    """A mail whose sender may hear of it."""
    given = {"id": 1, "sender": "ops@example.com", "verified": 1, "auto": Auto.PERSON.value, **values}
    return Mail(**schema.row(schema.mail, **given))


def recipient(notify: str = "") -> Recipient:
    """A recipient with these wishes."""
    return Recipient(
        **schema.row(schema.recipient, id=1, mail_id=1, address="7@sms.example.com", notify=notify)
    )


def order(number: int = 1, state: State = State.WAITING, **values: object) -> Order:
    """An order of the recipient."""
    return Order.of(
        schema.row(schema.orders, id=number, recipient_id=1, mail_id=1, state=state.value, **values)
    )


def reports(**values: object) -> Reports:
    """Settings of reports, into a maildir that is never written."""
    return Reports.model_validate({"maildir": "reports", **values}, context={"folder": ""})


def told(
    each: Order,
    before: State,
    state: State,
    *,
    to: Mail | None = None,
    notify: str = "",
    siblings: Sequence[Order] = (),
    **settings: object,
) -> list[tuple[Action, bool]]:
    """What is told of a move: actions, and whether the fate is unknown."""
    facts = notices.after_move(
        each,
        before,
        state,
        OUTCOME,
        mail=to or mail(),
        recipient=recipient(notify),
        siblings=siblings,
        reports=reports(**settings),
    )
    assert all(each is fact.order and OUTCOME is fact.outcome for fact in facts)
    return [(fact.action, fact.unknown) for fact in facts]


# -- the matrix --------------------------------------------------------------------------------

MATRIX = list(product(NOTIFY, [True, False], ["15m", 0], ["never", "accepted", "delivered"]))


@pytest.mark.parametrize(("notify", "failure", "delay", "success"), MATRIX)
def test_notify_beats_the_settings(notify, failure, delay, success):
    """Where the client gave NOTIFY its word counts alone, elsewhere the settings do."""
    settings = reports(failure=failure, delay=delay, success=success)
    wishes = set(notify.split(",")) if notify else None
    wanted = {
        Action.FAILED: failure if wishes is None else "failure" in wishes,
        Action.DELAYED: bool(delay) if wishes is None else "delay" in wishes,
        Action.RELAYED: success != "never" if wishes is None else "success" in wishes,
        Action.DELIVERED: success != "never" if wishes is None else "success" in wishes,
    }
    found = {action: notices.owed(mail(), recipient(notify), settings, action) for action in wanted}
    assert wanted == found
    unknown = notices.owed(mail(), recipient(notify), settings, Action.RELAYED, unknown=True)
    assert wanted[Action.FAILED] == unknown


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, True),
        ({"auto": Auto.GENERATED.value}, True),
        ({"auto": Auto.REPLIED.value}, False),
        ({"auto": Auto.REPORT.value}, False),
        ({"sender": ""}, False),
        ({"verified": 0}, False),
    ],
)
def test_who_is_owed_nothing(values, wanted):
    """Null senders, unverified ones, auto-replies and reports hear nothing, whatever they ask for."""
    settings = reports(success="accepted")
    for action, notify in product(
        [Action.FAILED, Action.DELAYED, Action.RELAYED], ["", "delay,failure,success"]
    ):
        assert wanted == notices.owed(mail(**values), recipient(notify), settings, action)
    assert wanted == bool(told(order(), State.SENDING, State.FAILED, to=mail(**values)))
    assert wanted == (notices.warn_after(mail(**values), recipient(), settings) is not None)


@pytest.mark.parametrize(
    ("notify", "delay", "wanted"),
    [
        ("", "15m", 15 * MINUTE),
        ("", 0, None),
        ("delay", "5m", 5 * MINUTE),
        ("failure", "5m", None),
        ("never", "5m", None),
    ],
)
def test_when_to_warn(notify, delay, wanted):
    """A warning is owed after `delay`, to who wants one."""
    assert wanted == notices.warn_after(mail(), recipient(notify), reports(delay=delay))


# -- bad news ----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", BAD)
def test_every_failure_is_told(state):
    """Of three members of an alias each failure is a fact of its own, whatever became of the others."""
    row = [order(1), order(2, State.DELIVERED), order(3, State.FAILED)]
    assert [(Action.FAILED, False)] == told(row[0], State.SENDING, state, siblings=row)
    assert [] == told(row[0], State.SENDING, state, siblings=row, failure=False)
    assert [] == told(row[0], State.SENDING, state, siblings=row, notify="success,delay")


def test_what_nobody_can_say_is_told_as_that():
    """Unknown after the provider had it is `relayed`, before that `failed`, and marked unknown both times."""
    assert [(Action.RELAYED, True)] == told(order(sent_at=5), State.SENT, State.UNKNOWN)
    assert [(Action.FAILED, True)] == told(order(), State.UNSURE, State.UNKNOWN)
    assert [] == told(order(), State.UNSURE, State.UNKNOWN, notify="success")


@pytest.mark.parametrize("state", [State.WAITING, State.HELD, State.SENDING, State.UNSURE, State.MERGED])
def test_moves_on_the_way_owe_nothing(state):
    """Nothing is told before there is anything to tell."""
    assert [] == told(order(), State.SENDING, state, notify="success,failure,delay", success="accepted")


# -- good news ---------------------------------------------------------------------------------

WAYS = [
    # success, notify, before, state, what is told
    ("never", "", State.SENDING, State.SENT, None),
    ("never", "", State.SENT, State.DELIVERED, None),
    ("never", "success", State.SENDING, State.SENT, None),
    ("never", "success", State.SENT, State.DELIVERED, Action.DELIVERED),
    ("delivered", "", State.SENDING, State.SENT, None),
    ("delivered", "", State.SENT, State.DELIVERED, Action.DELIVERED),
    ("delivered", "", State.UNSURE, State.DELIVERED, Action.DELIVERED),
    ("delivered", "failure", State.SENT, State.DELIVERED, None),
    ("accepted", "", State.SENDING, State.SENT, Action.RELAYED),
    ("accepted", "", State.UNSURE, State.SENT, Action.RELAYED),
    ("accepted", "", State.SENT, State.SENT, None),
    ("accepted", "", State.SENT, State.DELIVERED, None),
    ("accepted", "", State.UNSURE, State.DELIVERED, Action.DELIVERED),
    ("accepted", "never", State.SENDING, State.SENT, None),
    ("accepted", "success", State.SENDING, State.SENT, Action.RELAYED),
]


@pytest.mark.parametrize(("success", "notify", "before", "state", "action"), WAYS)
def test_good_news_of_one_order(success, notify, before, state, action):
    """Told once: when the provider has it with `accepted`, else when the handset has."""
    wanted = [(action, False)] if action else []
    assert wanted == told(order(), before, state, notify=notify, success=success)


def test_which_good_news():
    """`accepted` says sooner; NOTIFY=SUCCESS alone means the handset."""
    wanted = {"accepted": Action.RELAYED, "delivered": Action.DELIVERED, "never": Action.DELIVERED}
    assert wanted == {each: notices.success_at(reports(success=each)) for each in wanted}


@pytest.mark.parametrize(
    ("success", "other", "wanted"),
    [
        ("delivered", State.DELIVERED, True),
        ("delivered", State.SENT, False),
        ("delivered", State.FAILED, False),
        ("delivered", State.UNKNOWN, False),
        ("accepted", State.SENT, True),
        ("accepted", State.DELIVERED, True),
        ("accepted", State.WAITING, False),
        ("accepted", State.FAILED, False),
    ],
)
def test_good_news_of_an_alias_waits_for_all(success, other, wanted):
    """That it went well is told when it went well for every member."""
    state = State.SENT if success == "accepted" else State.DELIVERED
    row = [order(1, hidden=1), order(2, other, hidden=1)]
    assert wanted == bool(told(row[0], State.SENDING, state, siblings=row, success=success))


def test_members_merged_elsewhere_went_well_or_not_at_all():
    """A member that another mail's order speaks for counts by what became of that order."""

    def telling(**merged: object) -> list[tuple[Action, bool]]:
        row = [order(1, hidden=1), order(2, State.MERGED, hidden=1, merged_into=9, **merged)]
        return told(row[0], State.SENT, State.DELIVERED, siblings=row, success="delivered")

    good = {"kind": Kind.DELIVERED.value, "status": "2.1.5", "reason": "delivered", "finished_at": 5}
    bad = {"kind": Kind.REFUSED.value, "status": "5.1.3", "reason": "no such number", "finished_at": 5}
    assert [(Action.DELIVERED, False)] == telling(**good)
    assert [] == telling(**bad)
    assert [] == telling()


def test_good_news_is_told_once_where_a_member_was_merged():
    """An alias of two, one of them merged elsewhere: whichever is delivered first, there is one fact."""
    settings = {"success": "delivered"}
    first = told(
        order(1, hidden=1),
        State.SENT,
        State.DELIVERED,
        siblings=[order(1, hidden=1), order(2, State.MERGED, hidden=1, merged_into=9)],
        **settings,
    )
    second = told(
        order(2, State.MERGED, hidden=1, merged_into=9),
        State.SENT,
        State.DELIVERED,
        siblings=[order(1, State.DELIVERED, hidden=1), order(2, State.MERGED, hidden=1, merged_into=9)],
        **settings,
    )
    assert [(Action.DELIVERED, False)] == first + second


# -- groups ------------------------------------------------------------------------------------


def group(*states: State) -> list[Order]:
    """A group's own order, at the provider, and its members."""
    members = [order(n, state, parent_id=1, sent_at=5) for n, state in enumerate(states, start=2)]
    return [order(1, State.SENT, sent_at=5), *members]


def test_a_groups_members_tell_of_failures_alone():
    """A member's failure is told, its success is the group's to tell."""
    row = group(State.SENT, State.SENT)
    settings = {"success": "delivered"}
    assert [(Action.FAILED, False)] == told(row[1], State.SENT, State.FAILED, siblings=row, **settings)
    assert [] == told(row[1], State.SENT, State.DELIVERED, siblings=row, **settings)


def test_a_group_tells_of_success_alone():
    """The group's own order is told when all were reached; its failure was told member by member."""
    row = group(State.DELIVERED, State.DELIVERED)
    assert [(Action.DELIVERED, False)] == told(
        row[0], State.SENT, State.DELIVERED, siblings=row, success="delivered"
    )
    row = group(State.FAILED, State.DELIVERED)
    assert [] == told(row[0], State.SENT, State.FAILED, siblings=row)


def test_what_nobody_can_say_of_members_is_told_once():
    """A group that is unknown because of its members, each of which was told, is not told again."""
    row = group(State.UNKNOWN, State.DELIVERED)
    assert [(Action.RELAYED, True)] == told(row[1], State.SENT, State.UNKNOWN, siblings=row)
    assert [] == told(row[0], State.SENT, State.UNKNOWN, siblings=row)


def test_a_group_without_known_members_tells_for_itself():
    """Where the provider never named a member the group's failure, or silence, is all there is."""
    alone = group()[0]
    assert [(Action.FAILED, False)] == told(alone, State.SENT, State.FAILED, siblings=[alone])
    assert [(Action.RELAYED, True)] == told(alone, State.SENT, State.UNKNOWN, siblings=[alone])


# -- corrections -------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(State))
def test_delivered_after_all(state):
    """Whoever was told of a failure, or that nobody knows, is told that it arrived after all."""
    good = Outcome(kind=Kind.DELIVERED, status="2.1.5", reason="delivered")
    late = order(1, state)
    spoken_for = order(2, State.MERGED)
    context = {"mail": mail(), "recipient": recipient()}
    wanted = [Fact(order=late, action=Action.DELIVERED, outcome=good)]
    told_before = state in (State.FAILED, State.UNKNOWN)
    assert (wanted if told_before else []) == notices.correction(
        late, state, good, reports=reports(), **context
    )
    assert told_before == bool(
        notices.correction(spoken_for, state, good, reports=reports(), **context)
    )  # as the one that speaks for it
    assert [] == notices.correction(late, state, good, reports=reports(failure=False), **context)


@pytest.mark.parametrize(("notify", "wanted"), [("failure", 1), ("success", 0), ("never", 0)])
def test_corrections_go_to_who_was_told(notify, wanted):
    """Who did not want failures has nothing to be corrected; who did hears it though success is `never`."""
    found = notices.correction(
        order(1, State.FAILED),
        State.FAILED,
        OUTCOME,
        mail=mail(),
        recipient=recipient(notify),
        reports=reports(),
    )
    assert wanted == len(found)


def test_what_was_taken_back_is_no_failure():
    """Somebody took the alarm before a step's message went out: nobody is told that it failed."""
    taken = Outcome(kind=Kind.NOTHING, status="2.0.0", reason="somebody has taken the alarm")
    assert [] == notices.after_move(
        order(), State.WAITING, State.DROPPED, taken,
        mail=mail(), recipient=recipient("failure"), siblings=[order()], reports=reports(),
    )  # fmt: skip
