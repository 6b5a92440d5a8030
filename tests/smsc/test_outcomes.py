"""What the provider's words mean for an order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.model import Kind, Outcome, Rest
from relay.smsc import outcomes


@pytest.mark.parametrize(
    ("code", "kind", "status", "rest"),
    [
        (1, Kind.REFUSED, "5.5.4", Rest.NONE),
        (2, Kind.LATER, "4.7.8", Rest.LOGIN),
        (3, Kind.LATER, "4.3.0", Rest.MONEY),
        (4, Kind.LATER, "4.7.0", Rest.BLOCKED),
        (5, Kind.REFUSED, "5.5.4", Rest.NONE),
        (6, Kind.REFUSED, "5.7.1", Rest.NONE),
        (7, Kind.REFUSED, "5.1.3", Rest.NONE),
        (8, Kind.REFUSED, "5.4.4", Rest.NONE),
        (9, Kind.UNSURE, "4.4.1", Rest.NONE),
    ],
)
def test_every_error_of_the_vendors_page_has_its_meaning(code, kind, status, rest):
    """An error means the same as a number and as text, and keeps the vendor's own words."""
    for written in (code, str(code)):
        outcome = outcomes.for_error(written, "the vendor's words")
        expected = (kind, status, rest, str(code), "the vendor's words")
        assert expected == (outcome.kind, outcome.status, outcome.rest, outcome.code, outcome.text)


@pytest.mark.parametrize("code", [0, 10, 15, -7, "", "no such", "9" * 5000])
def test_an_unknown_error_leaves_the_order_unsure(code):
    """An error that no page names is not known to mean that the message was not taken."""
    outcome = outcomes.for_error(code, "unknown error")
    assert (outcome.kind, outcome.status, outcome.rest) == (Kind.UNSURE, "4.4.1", Rest.NONE)


@pytest.mark.parametrize(
    ("status", "kind", "enhanced", "rest"),
    [
        (-3, Kind.ABSENT, "4.4.1", Rest.NONE),
        (-2, Kind.ACCEPTED, "2.0.0", Rest.NONE),
        (-1, Kind.ACCEPTED, "2.0.0", Rest.NONE),
        (0, Kind.ACCEPTED, "2.0.0", Rest.NONE),
        (1, Kind.DELIVERED, "2.1.5", Rest.NONE),
        (2, Kind.DELIVERED, "2.1.5", Rest.NONE),
        (3, Kind.EXPIRED, "4.4.7", Rest.NONE),
        (4, Kind.DELIVERED, "2.1.5", Rest.NONE),
        (20, Kind.REFUSED, "5.0.0", Rest.NONE),
        (22, Kind.REFUSED, "5.1.3", Rest.NONE),
        (23, Kind.REFUSED, "5.0.0", Rest.NONE),
        (24, Kind.ACCEPTED, "2.0.0", Rest.MONEY),
        (25, Kind.REFUSED, "5.4.4", Rest.NONE),
    ],
)
def test_every_status_has_its_meaning_without_an_error(status, kind, enhanced, rest):
    """A status that comes without an error, or with error 0, means what the table says."""
    for err in (None, 0):
        outcome = outcomes.for_status(status, err)
        assert (kind, enhanced, rest) == (outcome.kind, outcome.status, outcome.rest)


@pytest.mark.parametrize("status", [20, 22, 23, 25])
@pytest.mark.parametrize(
    ("enhanced", "errs"),
    [
        ("5.1.1", [1]),
        ("4.4.7", [6]),
        ("5.2.1", [11, 12, 13]),
        ("5.6.1", [21, 241]),
        ("4.4.5", [220]),
        ("4.4.1", [237, 240, 242]),
        ("5.4.4", [248]),
        ("5.1.3", [249]),
        ("5.7.1", [238, 239, 243, 244, 246, 250, 252, 253, 254]),
        ("4.7.1", [247, 251]),
        ("5.0.0", [2, 3, 4, 5, 77, 200, 219, 255, 999, -1]),
    ],
)
def test_the_error_inside_a_failed_status_tells_why(status, enhanced, errs):
    """A message that failed has the enhanced status of its error, 5.0.0 where it is another."""
    told = {err: outcomes.for_status(status, err) for err in errs}
    assert dict.fromkeys(errs, (Kind.REFUSED, enhanced)) == {
        err: (outcome.kind, outcome.status) for err, outcome in told.items()
    }


def test_a_status_that_the_operator_never_told_is_unknown():
    """Error 245 says that nobody knows."""
    assert outcomes.for_status(20, 245).kind is Kind.UNKNOWN


@pytest.mark.parametrize("status", [5, 6, 21, 99, 10**12])
def test_an_unknown_status_says_that_the_provider_has_the_message(status):
    """A status that no page names moves a sent order nowhere, but ends an unsure one's doubt."""
    assert outcomes.for_status(status).kind is Kind.ACCEPTED


def test_a_status_below_all_known_ones_moves_nothing():
    """Below -3 nothing can be concluded."""
    assert outcomes.for_status(-4).kind is Kind.NOTHING


def test_an_expired_status_bears_its_cause():
    """Status 3 is 4.4.7, or the status of the error that came with it."""
    assert outcomes.for_status(3, 6).status == "4.4.7"
    assert outcomes.for_status(3, 220).status == "4.4.5"
    assert (outcomes.for_status(3, 245).kind, outcomes.for_status(3, 245).status) == (Kind.EXPIRED, "4.4.7")
    assert outcomes.for_status(3, 777).status == "4.4.7"


def test_an_error_is_not_looked_at_where_the_status_is_good():
    """A delivered message with an error is delivered."""
    assert Kind.DELIVERED is outcomes.for_status(1, 248).kind
    assert outcomes.for_status(1, 248).code == "status 1 err 248"


def test_calls_that_failed_on_the_way():
    """No connection is later, everything after it unsure; why is said."""
    later, broken, odd = (
        outcomes.no_connection("its name could not be resolved"),
        outcomes.broke_off("it fell silent"),
        outcomes.unreadable("a web page"),
    )
    assert [later.kind, broken.kind, odd.kind] == [Kind.LATER, Kind.UNSURE, Kind.UNSURE]
    assert [later.status, broken.status, odd.status] == ["4.4.1"] * 3
    assert later.reason.endswith("(its name could not be resolved)")
    assert broken.reason.endswith("(it fell silent)")
    assert odd.reason.endswith("(a web page)")
    assert "(" not in outcomes.no_connection().reason


def test_an_expired_order_has_the_status_of_its_last_cause():
    """What kept the order is what its sender hears; 4.4.7 where nothing did."""
    assert outcomes.expired(None).status == "4.4.7"
    assert outcomes.expired(outcomes.accepted()).status == "4.4.7"
    last = outcomes.expired(outcomes.for_error(3, "no money"))
    assert (last.kind, last.status, last.code, last.text) == (Kind.EXPIRED, "4.3.0", "3", "no money")
    assert Rest.NONE is last.rest
    assert "out of money" in last.reason


def test_what_was_given_up_is_unknown():
    """Nobody can say, and the last answer is told along."""
    assert Kind.UNKNOWN is outcomes.unknown().kind
    last = outcomes.unknown(outcomes.for_error(9, "wait a minute"))
    assert (last.kind, last.code, last.text) == (Kind.UNKNOWN, "9", "wait a minute")


def test_a_failed_question_moves_no_order_but_may_rest_the_account():
    """A question refused for the login is news of the account alone."""
    outcome = outcomes.about_question(outcomes.for_error(2, "authorise error"))
    assert (outcome.kind, outcome.rest, outcome.code) == (Kind.NOTHING, Rest.LOGIN, "2")


def test_an_acceptance_tells_cost_and_parts():
    """The price of the whole request and its parts are kept."""
    outcome = outcomes.accepted(cost="1.40", parts=2)
    assert (outcome.kind, outcome.cost, outcome.parts) == (Kind.ACCEPTED, "1.40", 2)


def test_the_table_names_every_word_once():
    """Documents are drawn from the table: no row twice, all three kinds of word there."""
    keys = [(row.says, row.code) for row in outcomes.TABLE]
    assert len(set(keys)) == len(keys)
    assert list(range(1, 10)) == [row.code for row in outcomes.rows("error")]
    assert [row.code for row in outcomes.rows("status")] == [-3, -2, -1, 0, 1, 2, 3, 4, 20, 22, 23, 24, 25]
    assert 248 in {row.code for row in outcomes.rows("err")}


@given(st.text(max_size=2000))
def test_the_vendors_text_becomes_one_printable_line(text):
    """Whatever the provider writes is one short line of printable characters."""
    line = outcomes.clean(text)
    assert line.isprintable()
    assert len(line) <= 300


@given(st.integers(), st.none() | st.integers(), st.text(max_size=50))
def test_every_number_is_an_outcome(status, err, text):
    """No status and no error raises; what comes is whole."""
    assert isinstance(outcomes.for_status(status, err, text), Outcome)
    assert isinstance(outcomes.for_error(status, text), Outcome)


def test_a_call_that_other_nodes_left_no_slot_for_is_made_later():
    """It costs the order nothing, and the account need not rest."""
    assert (Kind.LATER, Rest.NONE, "") == (
        outcomes.barred().kind,
        outcomes.barred().rest,
        outcomes.barred().code,
    )
