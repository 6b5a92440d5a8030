"""Where a recipient goes, what its options mean, and the sentence for what means nothing."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from relay import replies
from relay.config import Alias, Escalation, Route, default
from relay.message import route_faults, routes
from relay.message.routes import Resolved
from relay.model import Target
from relay.replies import Reply

A, B, C = "+79991234567", "+79991234568", "+79991234569"


def route(match: str = "*@sms.example.com", channel: str = "sms", **values: object) -> Route:
    """A route of the account `main`."""
    return Route.model_validate(
        {"match": match, "channel": channel, "account": "main", "accounts": ["main"], **values}
    )


def alias(*members: str) -> Alias:
    """An alias of these members."""
    return Alias(to=members)


def resolved(address: str, aliases: Mapping[str, Alias] | None = None, **values: object) -> Resolved:
    """What the address means on a route with these settings."""
    found = routes.resolve(address, [route(**values)], aliases or {})
    assert isinstance(found, Resolved), found
    return found


def refused(address: str, aliases: Mapping[str, Alias] | None = None, **values: object) -> Reply:
    """Why the address means nothing there."""
    found = routes.resolve(address, [route(**values)], aliases or {})
    assert isinstance(found, Reply), found
    return found


def targets(address: str, aliases: Mapping[str, Alias] | None = None, **values: object) -> list[str]:
    """Where mail to the address goes."""
    return [each.to for each in resolved(address, aliases, **values).targets]


# -- routes ------------------------------------------------------------------------------------


def test_the_first_route_that_fits():
    """Patterns are on the whole address, case and options aside; the first one wins."""
    ways = [route("7999*@sms.example.com", region="RU"), route(), route("*", "mail")]
    found = {
        "79991234567@sms.example.com": 0,
        "79991234567+flash@SMS.Example.COM": 0,
        '"7999 1234567"@sms.example.com': 1,
        "+79991234567@sms.example.com": 1,
        "g777@sms.example.com": 1,
        "79991234567@sms.example.com.evil.test": 2,
        "Bob@people.example": 2,
    }
    assert found == {address: ways.index(routes.find(address, ways)) for address in found}
    assert None is routes.find("bob@people.example", ways[:2])


def test_an_unknown_domain_is_refused():
    """Without a route there is nowhere to send it."""
    assert replies.NO_SUCH_DOMAIN == refused("79991234567@other.example.com")
    assert (550, "5.1.2") == (replies.NO_SUCH_DOMAIN.code, replies.NO_SUCH_DOMAIN.status)


def test_which_addresses_take_commands():
    """The mailbox of the provider's grammar, on a phone route that has it."""
    there = [
        route(gateway=True),
        route("*@mail.example.com", "mail", gateway=True),
        route("*@other.example.com"),
    ]
    names = ("send@sms", "SEND@SMS", "sender@sms", "send@mail", "send@other", "send@none", "send+x@sms")
    found = [each for each in names if routes.commands(f"{each}.example.com", there)]
    assert ["send@sms", "SEND@SMS"] == found
    assert not routes.commands("send", there)


@pytest.mark.parametrize(
    "address", ["Bob+flash@x.example", "79991234567@x.example", '"a, b"@x.example', "bob@[192.0.2.1]"]
)
def test_what_is_forwarded_is_left_as_it_is(address):
    """Whatever SMTP can carry goes on, quotes and all; no account is asked."""
    found = routes.resolve(address, [route("*", "forward", allow=["flash"])], {"bob": alias(A)})
    assert Resolved(route=found.route, channel="forward", targets=(Target(to=address),)) == found


@pytest.mark.parametrize(
    "address",
    [
        "a b@x.example",
        'a"b@x.example',
        "a@b c.example",
        "a@",
        "@x",
        "a\n@x.example",
        '"a\r"@x',
        "a@x>",
        "a" * 260 + "@x",
    ],
)
def test_what_smtp_can_not_carry_is_refused(address):
    """Such an address never came by SMTP; from the command line it might."""
    reply = refused(address, channel="forward", match="*")
    assert (553, "5.1.3") == (reply.code, reply.status)


@pytest.mark.parametrize("address", ["Bob+flash@x.example", "79991234567@x.example"])
def test_mail_is_left_as_it_is(address):
    """On mail the local part is its owner's: no options, no aliases, no numbers."""
    found = routes.resolve(address, [route("*", "mail", allow=["flash"])], {"bob": alias(A)})
    assert Resolved(route=found.route, channel="mail", targets=(Target(to=address),)) == found


def test_the_demo_resolves_its_own_addresses(tmp_path):
    """The configuration of the demo serves a phone, a call, its alias and everybody's mail."""
    config = default(tmp_path)
    wanted = {
        "79991234567@sms.example.com": ("sms", 1),
        "79991234567@call.example.com": ("call", 1),
        "oncall@sms.example.com": ("sms", 2),
        "bob@people.example": ("mail", 1),
    }
    found = {each: routes.resolve(each, config.routes, config.aliases) for each in wanted}
    assert wanted == {each: (one.channel, len(one.targets)) for each, one in found.items()}
    assert [] == route_faults.complaints(config.routes, config.aliases)


# -- numbers, groups, aliases ------------------------------------------------------------------


@pytest.mark.parametrize(
    "local", ["79991234567", "+7-999-123-45-67", '"8(999)1234567"', "8-999-123-45-67", "89991234567"]
)
def test_numbers_are_read(local):
    """A number is read as people write it, and shown to the sender as theirs."""
    found = resolved(f"{local}@sms.example.com", region="RU")
    assert ((Target(to=A),), "") == (found.targets, found.alias)


def test_groups_are_targets():
    """A group of the provider is one target, in lower case."""
    assert (Target(to="g777"),) == resolved("G777@sms.example.com").targets


@pytest.mark.parametrize(
    ("local", "code", "status", "words"),
    [
        ("7999", 550, "5.1.3", ["7999", "country code"]),
        ("79991234567890123", 550, "5.1.3", ["79991234567890123"]),
        ("nobody", 550, "5.1.1", ["nobody", "alias"]),
        ("дежурный", 550, "5.1.1", ["дежурный"]),
        ("8(999)1234567", 553, "5.1.3", ["parentheses"]),
        ("79991234567+1", 553, "5.1.3", ["1"]),
        ('"+"', 553, "5.1.3", ["no recipient"]),
    ],
)
def test_bad_recipients_are_named(local, code, status, words):
    """The reply names what is wrong and says what to write."""
    reply = refused(f"{local}@sms.example.com")
    assert (code, status) == (reply.code, reply.status)
    assert [] == [word for word in words if word not in reply.text]


def test_a_reply_holds_nothing_unprintable():
    """What a peer wrote is quoted on one line, and not without end."""
    reply = refused("x" * 3000 + "\x00\r\n@sms.example.com")
    assert reply.text.isprintable()
    assert len(reply.text) <= 400


def test_an_alias_is_its_members():
    """Members are hidden targets, each once, whatever the case and the form it was written in."""
    aliases = {"OnCall": alias(A, "g777", "7 999 123 45 68", "G777", "+7 (999) 123-45-67")}
    found = resolved("oncall+flash@sms.example.com", aliases, allow=["flash"])
    assert tuple(Target(to=each, hidden=True) for each in (A, "g777", B)) == found.targets
    assert ("oncall", "flash") == (found.alias, found.channel)
    assert [A, "g777", B] == targets("ONCALL@sms.example.com", aliases)


def test_aliases_may_be_nested():
    """An alias of aliases is everybody in them, once."""
    aliases = {"all": alias("Ops", "dev", C), "ops": alias(A, B), "dev": alias(B)}
    assert [A, B, C] == targets("all@sms.example.com", aliases)


def test_circles_of_aliases_end():
    """Aliases that name each other are their members, and one that is nothing but a circle is nobody."""
    aliases = {"a": alias("b", A), "b": alias("c", B), "c": alias("a", C), "x": alias("y"), "y": alias("x")}
    assert [C, B, A] == targets("a@sms.example.com", aliases)
    assert {A, B, C} == set(targets("c@sms.example.com", aliases))
    assert "5.1.1" == refused("x@sms.example.com", aliases).status


def test_an_alias_beats_a_group_of_its_name():
    """What the operator named is meant before what the provider has."""
    assert [A] == targets("g777@sms.example.com", {"g777": alias(A)})


# -- options -----------------------------------------------------------------------------------


def test_options_that_are_allowed():
    """A channel and parameters, each checked, in whatever case."""
    found = resolved("79991234567+CALL+voice=W2+time=9-21@sms.example.com", allow=["call", "voice", "time"])
    assert ("call", {"voice": "w2", "time": "9-21"}) == (found.channel, found.given)
    assert "flash" == resolved("79991234567+flash@sms.example.com", allow=["flash"]).channel


def test_the_last_channel_counts():
    """Of two channels the later one is meant."""
    found = resolved("79991234567+flash+call@sms.example.com", allow=["flash", "call"])
    assert "call" == found.channel


@pytest.mark.parametrize(
    ("local", "allow", "status", "words"),
    [
        ("79991234567+flash", [], "5.7.1", ["flash", "not allowed"]),
        ("79991234567+flash", ["time", "valid"], "5.7.1", ["flash", "time, valid"]),
        ("79991234567+time=9-21", ["flash"], "5.7.1", ["time", "not allowed"]),
        ("79991234567+nonsense", ["flash"], "5.7.1", ["nonsense", "not known"]),
        ("79991234567+mes=hello", ["flash"], "5.7.1", ["mes", "not known"]),
        ("79991234567+mail", ["flash"], "5.7.1", ["mail", "not known"]),
        ("79991234567+time=99-1", ["time"], "5.5.4", ["time", "9-21"]),
        ("79991234567+valid=", ["valid"], "5.5.4", ["valid", "24"]),
        ("79991234567+sender=TooLongForAName", ["sender"], "5.5.4", ["sender", "11"]),
        ("79991234567+voice=w2", ["voice"], "5.5.4", ["voice", "sms"]),
        ("79991234567+call+maxsms=2", ["call", "maxsms"], "5.5.4", ["maxsms", "call"]),
        ("79991234567+call+sender=ALERTS", ["call", "sender"], "5.5.4", ["sender", "phone number"]),
    ],
)
def test_options_that_are_refused(local, allow, status, words):
    """Not allowed, not known, a bad value, nothing to this channel: the reply names the option."""
    reply = refused(f"{local}@sms.example.com", allow=allow)
    assert (550, status) == (reply.code, reply.status)
    assert [] == [word for word in words if word not in reply.text]


def test_read_options_on_another_channel():
    """A channel that was chosen elsewhere decides what values may be."""
    way = route(allow=["voice"])
    assert ("call", {"voice": "w2"}) == routes.read_options(way, [("voice", "w2")], "call")
    assert "5.5.4" == routes.read_options(way, [("voice", "w2")]).status
    assert ("sms", {}) == routes.read_options(way, [])


# -- the configuration's faults ----------------------------------------------------------------


def test_complaints_have_places():
    """Bad templates, parameters, options and members are each found where they stand."""
    ways = [
        route(),
        route(
            text="{{ nobody }}",
            comment="{{ subject",
            params={"sender": "MuchTooLongAName", "valid": "99", "freq": "30", "voice": "w2"},
        ).model_copy(update={"allow": ("flash", "banana")}),
    ]
    aliases = {"oncall": alias(A, "g777", "OnCall", "nobody"), "bad": alias("123")}
    found = route_faults.complaints(ways, aliases)
    assert {
        ("routes", 1, "text"),
        ("routes", 1, "comment"),
        ("routes", 1, "sender"),
        ("routes", 1, "valid"),
        ("routes", 1, "channel"),
        ("routes", 1, "allow", 1),
        ("aliases", "oncall", "to", 3),
        ("aliases", "bad", "to", 0),
    } == {place for place, _ in found}
    assert all(sentence for _, sentence in found)
    assert "banana" in dict(found)["routes", 1, "allow", 1]


def test_a_good_configuration_has_no_complaints():
    """Parameters of a channel that an option may choose are nobody's fault."""
    way = route(
        text="{{ body }}", comment="{{ from }}", params={"sender": "OPS", "voice": "w2"}, allow=["call"]
    )
    assert [] == route_faults.complaints([way], {"oncall": alias(A)})


def test_a_parameter_that_waits_for_an_option_is_checked_too():
    """A voice that no call could have is a fault though the route sends text messages."""
    way = route(params={"voice": "nobody"}, allow=["call"])
    assert [("routes", 0, "voice")] == [place for place, _ in route_faults.complaints([way], {})]


# -- laws --------------------------------------------------------------------------------------


@given(local=st.text(max_size=30) | st.text(alphabet='0123456789+=()" .gG@call\\', max_size=30))
@examples(max_examples=250)
def test_any_address_is_a_meaning_or_a_reply(local):
    """No address raises; a refusal is permanent, on one line, and has an enhanced status."""
    ways = [route(allow=["call", "time"], region="RU"), route("*", "mail")]
    found = routes.resolve(f"{local}@sms.example.com", ways, {"all": alias(A)})
    if isinstance(found, Reply):
        assert 550 <= found.code <= 553
        assert found.status.startswith("5.")
        assert found.text.isprintable()
    else:
        assert found.targets
        assert all(each.to.startswith(("+", "g")) for each in found.targets if found.channel != "mail")


# -- doubts and circles --------------------------------------------------------------------------


def test_an_alias_that_leads_to_nobody_is_a_fault():
    """A circle of aliases without a phone; one that also has a phone is none."""
    circle = {"a": alias("b"), "b": alias("a"), "c": alias("a", A), "d": alias("c")}
    found = route_faults.complaints([route()], circle)
    assert [("aliases", "a"), ("aliases", "b")] == sorted(place for place, _ in found)


def test_a_parameter_that_no_channel_of_the_route_knows_is_doubted():
    """A voice on an SMS route does nothing, unless an option may make it a call."""
    alone = route(params={"voice": "w2"})
    with_call = route(params={"voice": "w2"}, allow=["call", "time"])
    assert [("routes", 0, "voice")] == [place for place, _ in route_faults.doubts([alone, with_call])]
    assert [("routes", 0, "gateway")] == [
        place for place, _ in route_faults.doubts([route("*", "mail", gateway=True)])
    ]
    nowhere = [
        route("*", "mail", countries=["RU"], numbers=["+7*"]),
        route(channel="hlr", quiet={"hours": "22-7"}),
    ]
    assert [("routes", 0, "countries"), ("routes", 0, "numbers"), ("routes", 1, "quiet")] == [
        place for place, _ in route_faults.doubts(nowhere)
    ]


def test_numbers_that_a_route_reaches():
    """Whole, or by how they begin; groups have no number; an alias is refused as a whole, unnamed."""
    few = {"numbers": ["+7999123*", "+442071838750"]}
    for good in ("79991234567", "+442071838750", "g777"):
        assert [] != targets(f"{good}@sms.example.com", **few)
    said = "550 5.7.1 '+79981234567' is a number that this route does not reach"
    assert said == str(refused("79981234567@sms.example.com", **few))
    mixed = {"mixed": alias(A, "+79981234567")}
    said = "550 5.7.1 the alias 'mixed' has members with numbers that this route does not reach"
    assert said == str(refused("mixed@sms.example.com", mixed, **few))
    assert "442071838751" in str(refused("442071838751@sms.example.com", **few))


@pytest.mark.parametrize(
    ("local", "wanted"),
    [
        ("79991234567", False),
        ("+79991234567+flash", False),
        ("g777", False),
        ("oncall", True),
        ("OnCall+flash", True),
        ("nobody", True),
        ("112", True),
        ("911", True),
        ('"a b', True),
    ],
)
def test_what_is_a_name(local, wanted):
    """All that is neither a number nor a group, be it an alias or not, on phone routes alone."""
    team = {"oncall": alias(A), "112": alias(A)}
    assert wanted == routes.names(f"{local}@sms.example.com", [route("*@sms.example.com")], team)
    assert not routes.names(f"{local}@sms.example.com", [route("*", "mail")], team)
    assert not routes.names(f"{local}@else.example", [route("*@sms.example.com")], team)
    assert not routes.names("postmaster", [route("*")], team)


def test_a_route_of_bots_names_its_bot():
    """Without one the provider would refuse every message; a sender may name it where that is allowed."""
    assert [("routes", 0, "channel")] == [
        place for place, _ in route_faults.complaints([route(channel="bot")], {})
    ]
    assert [] == route_faults.complaints([route(channel="bot", allow=["bot"])], {})


def test_users_of_bots():
    """Nicks are reached by a bot alone, by themselves or as members of an alias."""
    team = {"team": alias("@alex_nick", A)}
    assert ["@alex_nick", A] == targets("team@sms.example.com", team, channel="bot", params={"bot": "@b_bot"})
    assert "the alias 'team' has members that sms can't reach" in refused("team@sms.example.com", team).text
    nobody = refused("no.nick@sms.example.com", channel="bot", params={"bot": "@b_bot"})
    assert "a nick or #id of a bot's user" in nobody.text


def test_a_target_may_be_a_mailbox():
    """On the channel of e-mail the recipient is its own target, whole."""
    assert "Bob@people.example" == routes.target("Bob@people.example", "mail", "RU")


# -- mail addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "to"),
    [
        ("Bob+tag@People.example", "Bob+tag@People.example"),
        ('"bob"@people.example', "bob@people.example"),
        ("боб@почта.example", "боб@почта.example"),
        ("bob@[192.0.2.1]", "bob@[192.0.2.1]"),
    ],
)
def test_a_mail_address_is_its_own_target(address: str, to: str) -> None:
    """As written, but for quotes that it does not need."""
    assert [to] == targets(address, match="*", channel="mail")


@pytest.mark.parametrize(
    "address",
    [
        '"x,victim@bank.example,y"@people.example',
        '"x;victim@bank.example;y"@people.example',
        '"a b"@people.example',
        "ann(x)@people.example",
        "a,b@people.example",
        "bob@people.example,victim@bank.example",
        "bob@people.example;victim",
        "bob@people.example\r\nX: y",
        "bob\u2028@people.example",
    ],
)
def test_a_mail_address_names_one_person(address: str) -> None:
    """The provider splits lists at commas and semicolons: nobody gets in that way."""
    assert "553 5.1.3" == str(refused(address, match="*", channel="mail"))[:9]


def test_an_address_without_a_domain_is_nobody() -> None:
    """RCPT TO:<postmaster> is no address of the provider's."""
    assert replies.NO_MAILBOX == refused("postmaster", match="*", channel="mail")


def test_other_dots_are_dots() -> None:
    """A domain written with ideographic full stops finds the route of that domain."""
    assert [A] == targets("79991234567@sms\u3002example\uff0ecom")


@pytest.mark.parametrize(
    ("found", "home"),
    [
        ([], ""),
        ([route("*", "mail")], ""),
        ([route(), route("*", "mail")], "sms.example.com"),
        ([route(), route("*@call.example.com", "call")], ""),
        ([route("*")], ""),
        ([route("7*@sms.example.com")], ""),
        ([route("*@*.example.com")], ""),
    ],
)
def test_the_home_of_a_number_without_a_domain(found, home):
    """Only where there is one route to phones, and it has one domain."""
    assert home == routes.home(found)


# -- escalation --------------------------------------------------------------------------------


def step(**values: str) -> Escalation:
    """A step five minutes after the message."""
    return Escalation.model_validate({"after": "5m", **values})


def test_steps_are_the_alias_s_own_or_else_the_route_s():
    """An alias that says nothing goes by its route."""
    ways = [route(escalate=[step(channel="call")])]
    own = Alias(to=(A,), escalate=(step(to="boss"),))
    aliases = {"OnCall": own, "boss": alias(B)}
    found = [routes.resolve(f"{each}@sms.example.com", ways, aliases) for each in ("oncall", "boss", A[1:])]
    assert [own.escalate, ways[0].escalate, ways[0].escalate] == [each.escalate for each in found]


@pytest.mark.parametrize(
    ("wanted", "place", "words"),
    [
        ({"channel": "hlr"}, "channel", "can't say a text to a phone; write one of call, flash"),
        ({"channel": "mail"}, "channel", "can't say a text"),
        ({"channel": "bot"}, "channel", "can't say a text"),
        ({"to": "nobody"}, "to", "reaches nobody: 'nobody' is neither an alias"),
        ({"to": "12"}, "to", "reaches nobody"),
        ({"to": "a@nowhere.example"}, "to", "reaches nobody"),
        ({"to": "a@fwd.example.com"}, "to", "is an address of a forward route"),
    ],
)
def test_steps_that_lead_nowhere_are_found_at_the_start(wanted, place, words):
    """At the place in the file, on routes and aliases alike."""
    forward = route("*@fwd.example.com", "forward", smtp={"host": "127.0.0.1"})
    ways = [route(escalate=[step(channel="call"), step(**wanted)]), forward]
    aliases = {"team": Alias(to=(A,), escalate=(step(**wanted),))}
    found = dict(route_faults.complaints(ways, aliases))
    assert {("routes", 0, "escalate", 1, place), ("aliases", "team", "escalate", 0, place)} == set(found)
    assert all(words in why for why in found.values())


def test_steps_that_lead_somewhere():
    """Any channel of words, an alias, a number of some route's region, an address of another route."""
    good = [step(channel="viber"), step(to="team"), step(to="8-999-123-45-67"), step(to="boss@corp.example")]
    ways = [route(region="RU", escalate=good), route("*", "mail")]
    assert [] == route_faults.complaints(ways, {"team": Alias(to=(A,), escalate=tuple(good))})
    assert [] == route_faults.complaints([route("*", "mail", escalate=good[:1])], {})


def test_steps_on_mail_do_nothing():
    """And so on queries: said, not refused."""
    ways = [route("*@hlr.example.com", "hlr", escalate=[step(channel="call")])]
    ways += [route("*", "mail", escalate=[step(to="a@b.example")])]
    assert [("routes", 0, "escalate"), ("routes", 1, "escalate")] == [
        place for place, _ in route_faults.doubts(ways)
    ]


@given(
    st.lists(
        st.sampled_from(
            ["79991234567@sms.example.com", "oncall@sms.example.com", "x@sms.example.com", "a@b.c", "a"]
        )
    )
)
def test_a_book_says_what_resolve_says(asked):
    """What is remembered of an address is what would be found anew; nobody else's."""
    given_, aliases = [route()], {"oncall": alias("+79991234567")}
    book = routes.Book(given_, aliases)
    for address in asked:
        assert routes.resolve(address, given_, aliases) == book.resolve(address)
