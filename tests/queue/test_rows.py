"""The rows as values: what is kept as text comes back as what it means."""

from __future__ import annotations

from relay import model
from relay.model import Kind, Notify, Outcome
from relay.queue import schema
from relay.queue.followups import Notice, NoticeState
from relay.queue.rows import Content, Order, Phone, Recipient, Request, RequestState, StoredFile, as_json
from relay.queue.states import State


def order(**values):
    """An order as it is read from its row."""
    return Order.of(schema.row(schema.orders, id=1, state="waiting", **values))


def test_order_state():
    """The state is a state, equal to the text that is kept."""
    assert State.WAITING is order().state


def test_order_outcome():
    """An order's outcome is put together from its columns, and None before there is one."""
    assert None is order().outcome
    known = order(kind="refused", status="5.1.1", reason="no such number", code="7", words="invalid number")
    assert (
        Outcome(kind=Kind.REFUSED, status="5.1.1", reason="no such number", code="7", text="invalid number")
        == known.outcome
    )


def test_order_in_a_log_hides_the_number():
    """What an order looks like in a log or a traceback holds neither number nor sender."""
    shown = repr(order(target="+79991234567", sender="ops@example.com", says="secret"))
    assert f"<order {model.show(1)} waiting ********4567>" == shown


def test_recipient_wishes():
    """NOTIFY comes back as a set, empty where nothing was asked for."""
    assert frozenset() == Recipient(1, 1, 2, 0, "a@b", "", "").wishes
    assert {Notify.DELAY, Notify.FAILURE} == Recipient(1, 1, 2, 0, "a@b", "", "delay,failure").wishes


def test_content():
    """Parameters, files and notes come back as they were."""
    kept = {"id": 5, "name": "Схема.pdf", "type": "application/pdf", "size": 9}
    content = Content(
        **schema.row(
            schema.content,
            id=1,
            params=as_json({"voice": "w2", "subj": "Диск"}),
            files=as_json([kept]),
            notes=as_json(["cut at 1000 letters"]),
        )
    )
    assert {"voice": "w2", "subj": "Диск"} == content.form
    assert [StoredFile(**kept)] == content.attachments
    assert ("cut at 1000 letters",) == content.said


def test_request():
    """A request knows its phones in their order, and its id as the provider has it."""
    row = schema.row(schema.request, id=model.unshow("0abcdefghjkmn"), state="repeat", targets='["+2","+1"]')
    request = Request.of(row)
    assert RequestState.REPEAT is request.state
    assert ["+2", "+1"] == request.phones
    assert "0abcdefghjkmn" == request.name


def test_notice():
    """A notice's state is a state."""
    assert NoticeState.FAILED is Notice.of(schema.row(schema.notice, id=1, state="failed")).state


def test_phone():
    """What a phone heard is a list of digest, time and order; a new phone heard nothing."""
    assert [] == Phone("main", "+7999").heard
    texts = as_json([("abc", 5, 6), ("def", 7, 8)])
    assert [("abc", 5, 6), ("def", 7, 8)] == Phone("main", "+7999", texts=texts).heard
