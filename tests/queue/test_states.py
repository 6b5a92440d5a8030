"""The states of an order: which moves there are, and which there must not be."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.queue import states
from relay.queue.states import FINAL, MOVES, Event, IllegalMove, State

DOC = (Path(__file__).parents[2] / "docs" / "states.md").read_text(encoding="utf-8")
ALLOWED = {
    ("waiting", "claimed", "sending"),
    ("waiting", "merged", "merged"),
    ("waiting", "held", "held"),
    ("waiting", "expired", "failed"),
    ("waiting", "dropped", "dropped"),
    ("held", "released", "waiting"),
    ("held", "expired", "failed"),
    ("held", "dropped", "dropped"),
    ("sending", "accepted", "sent"),
    ("sending", "later", "waiting"),
    ("sending", "refused", "failed"),
    ("sending", "lost", "unsure"),
    ("sending", "delivered", "delivered"),
    ("sending", "expired", "failed"),
    ("sending", "gave up", "unknown"),
    ("unsure", "lost", "unsure"),
    ("unsure", "repeated", "sending"),
    ("unsure", "absent", "waiting"),
    ("unsure", "accepted", "sent"),
    ("unsure", "refused", "failed"),
    ("unsure", "delivered", "delivered"),
    ("unsure", "expired", "failed"),
    ("unsure", "gave up", "unknown"),
    ("sent", "accepted", "sent"),
    ("sent", "refused", "failed"),
    ("sent", "delivered", "delivered"),
    ("sent", "expired", "failed"),
    ("sent", "gave up", "unknown"),
    ("merged", "revived", "waiting"),
    ("merged", "expired", "failed"),
    ("merged", "dropped", "dropped"),
}
PAIRS = {(state, event) for state, event, _ in ALLOWED}
FORBIDDEN = [(state, event) for state in State for event in Event if (state, event) not in PAIRS]


def reachable(start, *, without=()):
    """The states an order in `start` can come to, when these events never happen."""
    found, edge = {start}, [start]
    while edge:
        moves = MOVES[edge.pop()]
        new = {to for event, to in moves.items() if event not in without} - found
        found |= new
        edge += new
    return found


@pytest.mark.parametrize(("state", "event", "to"), sorted(ALLOWED))
def test_moves(state, event, to):
    """Each move of the design is there and leads where it should."""
    assert State(to) is states.after(State(state), Event(event))
    assert states.can(State(state), Event(event))


@pytest.mark.parametrize(("state", "event"), FORBIDDEN)
def test_no_other_moves(state, event):
    """Whatever else might happen to an order is our mistake, and says what and where."""
    assert not states.can(state, event)
    with pytest.raises(IllegalMove, match=f"^{event} cannot happen to an order that is {state}$"):
        states.after(state, event)


def test_table_is_complete():
    """Every state has its line in the table, every event happens somewhere."""
    assert set(State) == set(MOVES)
    assert set(Event) == {event for moves in MOVES.values() for event in moves}


def test_final_states():
    """An order ends as delivered, failed, unknown or dropped, and never in any other state."""
    assert {State.DELIVERED, State.FAILED, State.UNKNOWN, State.DROPPED} == FINAL


def test_every_state_comes_to_pass():
    """An order that waits can come to any state."""
    assert set(State) == reachable(State.WAITING)


@pytest.mark.parametrize("state", State)
def test_every_order_can_end(state):
    """From every state a final one can be reached."""
    assert reachable(state) & FINAL


@pytest.mark.parametrize("state", [state for state in State if state not in FINAL])
def test_every_open_order_ends_by_itself(state):
    """No person and no other order is needed for an order to end, be it held or merged."""
    people = {Event.HELD, Event.RELEASED, Event.DROPPED, Event.MERGED, Event.REVIVED}
    assert reachable(state, without=people) & FINAL


def test_lapsed_lease_is_asked_about_first():
    """A claimed order whose call was lost is unsure, and waits again only when it was not found."""
    assert State.UNSURE is states.after(State.SENDING, Event.LOST)
    assert State.WAITING not in reachable(State.UNSURE, without={Event.ABSENT, Event.LATER})
    assert {Event.ABSENT} == {event for event, to in MOVES[State.UNSURE].items() if to == State.WAITING}


def test_claimed_order_waits_only_after_an_answer():
    """The one move from `sending` back to `waiting` is the provider's own word that it has nothing."""
    assert {Event.LATER} == {event for event, to in MOVES[State.SENDING].items() if to == State.WAITING}


def test_only_a_claim_starts_a_call():
    """An order is on its way by a claim or, byte for byte, by a repeat of a lost call."""
    into = {
        (state, event) for state, moves in MOVES.items() for event, to in moves.items() if to == State.SENDING
    }
    assert {(State.WAITING, Event.CLAIMED), (State.UNSURE, Event.REPEATED)} == into


def test_accepted_order_never_goes_out_again():
    """What the provider has is `sent` until it ends: nothing sends it a second time."""
    assert {State.SENT, *FINAL} - {State.DROPPED} == reachable(State.SENT)


def test_at_provider():
    """Only orders that the provider has owe no delay warning."""
    assert {State.SENT, State.DELIVERED} == states.AT_PROVIDER


@given(st.lists(st.sampled_from(Event), max_size=60))
def test_any_history(events):
    """Whatever happens, an order obeys the table: it ends at most once and was claimed before it was sent."""
    state, history = State.WAITING, [State.WAITING]
    for event in events:
        if states.can(state, event):
            state = states.after(state, event)
            history.append(state)
        else:
            with pytest.raises(IllegalMove):
                states.after(state, event)
    assert not FINAL & set(history[:-1])
    for before, now in pairwise(history):
        assert now != State.SENT or before in {State.SENDING, State.UNSURE, State.SENT}
        assert now != State.UNSURE or before in {State.SENDING, State.UNSURE}


def test_diagram():
    """The diagram has each move once, begins at `waiting` and ends at the final states."""
    head, first, *lines = states.diagram().split("\n")
    assert ("stateDiagram-v2", "    [*] --> waiting") == (head, first)
    moves = [re.fullmatch(r"    (\w+) --> (\w+): ([\w ]+)", line) for line in lines[: len(ALLOWED)]]
    assert sorted(ALLOWED) == sorted((move[1], move[3], move[2]) for move in moves)
    assert {f"    {state} --> [*]" for state in FINAL} == set(lines[len(ALLOWED) :])
    assert len(lines) == len(ALLOWED) + len(FINAL)


def cells(head):
    """The rows of a table of docs/states.md, below the head that begins so."""
    table = DOC.partition(f"| {head} |")[2].partition("\n\n")[0]
    return [[cell.strip(" `") for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def test_page_has_the_diagram():
    """docs/states.md shows the table as it is."""
    assert [states.diagram()] == re.findall(r"```mermaid\n(.*?)\n```", DOC, re.DOTALL)


def test_page_tells_of_every_state():
    """docs/states.md says of each state what it means and whether it is final."""
    assert [(state, "yes" if state in FINAL else "no") for state in State] == [
        (name, final) for name, final, meaning in cells("State | Final") if meaning
    ]


def test_page_tells_of_every_move():
    """docs/states.md says of each move when it happens."""
    told = [(before, event, to) for before, event, to, when in cells("From | Event") if when]
    assert sorted(ALLOWED) == sorted(told)
