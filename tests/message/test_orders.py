"""The composer: what a mail and its recipients become, and what a stranger's text must never do."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from relay import replies
from relay.config import Alias, Route
from relay.message import channels, orders, params, routes, templates, texts
from relay.message.drafts import Composed, Refusal
from relay.message.wording import Source
from relay.model import HOUR, MARK, MINUTE, WHOLE, Auto, Content, Envelope, File, Letter, Recipient, mark
from relay.replies import Reply
from relay.smsc import wire

NOW = 1_800_000_000_000
MB = 1 << 20
SEPARATOR = "\n~~~\n"
A, B = "+79991234567", "+79991234568"
SMS, OTHER, CALL = (
    "79991234567@sms.example.com",
    "79991234568@sms.example.com",
    "79991234567@call.example.com",
)
MAIL = "Bob@people.example"
WAV = File(name="alarm.wav", type="audio/wav", size=4, data=b"RIFF")
PDF = File(name="report.pdf", type="application/pdf", size=4, data=b"%PDF")
PICTURE = File(name="logo.png", type="image/png", size=4, data=b"PNG", cid="a", inline=True)
HARMFUL = ["__CALL__: wake up", "{menu: 1: sms:79990000000:x}", "<file /upload/files/a.wav>"]
FOUND = ("__CALL__", "{menu", "<file /")


def route(channel: str = "sms", **values: object) -> Route:
    """A route of the account `main`; further values are its settings."""
    match = "*" if channel == "mail" else f"*@{channel}.example.com"
    return Route.model_validate(
        {"match": match, "channel": channel, "account": "main", "accounts": ["main"], **values}
    )


def composed(
    letter: Letter,
    *to: str,
    ways: Sequence[Route] = (),
    aliases: Mapping[str, Alias] | None = None,
    sender: str = "ops@mon.example.com",
) -> Composed:
    """What a mail to these addresses becomes; ordinary routes come after `ways`."""
    ways = [*ways, route(), route("call", params={"voice": "w2"}), route("mail")]
    resolved = [routes.resolve(address, ways, aliases or {}) for address in to]
    envelope = Envelope(sender=sender, recipients=tuple(Recipient(address=address) for address in to))
    return orders.compose(letter, envelope, resolved, now=NOW, fallback_sender="relay@example.com")


def content(letter: Letter, to: str = SMS, **values: object) -> Content:
    """The only content of a mail to one address, on a route with these settings."""
    channel = "mail" if to == MAIL else to.rpartition("@")[2].split(".")[0]
    made = composed(letter, to, ways=[route(channel, **values)])
    assert () == made.refusals
    (one,) = made.contents
    return one


def refused(letter: Letter, to: str = SMS, **values: object) -> Reply:
    """The reply for a mail to one address that can't be sent."""
    channel = "mail" if to == MAIL else to.rpartition("@")[2].split(".")[0]
    made = composed(letter, to, ways=[route(channel, **values)])
    assert ((), ()) == (made.contents, made.drafts)
    (refusal,) = made.refusals
    return refusal.reply


def asking(**headers: str) -> Letter:
    """An alarm with X-SMSC-* headers."""
    fields = tuple((f"X-Smsc-{name.title()}", value) for name, value in headers.items())
    return Letter(subject="Disk", plain="full", headers=fields)


def noted(found: Content, *words: str) -> None:
    """Exactly one note says all these words."""
    assert 1 == len([note for note in found.notes if all(word in note for word in words)]), found.notes


def test_what_no_binary_message_can_be():
    """Too large a file, or more parts than the route allows; it can't be cut. Beside a text files stay."""
    phone = "79991234567@bin.example.com"
    large = File(name="a.bin", type="application/octet-stream", size=501, data=bytes(501))
    assert "500 octets at most" in refused(Letter(files=(large,)), phone).text
    assert "this one takes 3 parts" in refused(Letter(plain="00" * 300), phone, max_parts=2).text
    noted(content(Letter(plain="0041", files=(WAV,)), phone), "alarm.wav", "the text is the message")


def test_a_command_of_more_than_is_read_is_refused():
    """What was cut off might have named further phones, or taken words back."""
    letter = Letter(plain=f"alex:PSW:1::0,0,:79991234567:{'x' * texts.TEXT}")
    (refusal,) = composed(letter, "send@sms.example.com", ways=[route(gateway=True)]).refusals
    assert "too long for a command" in refusal.reply.text


# -- recipients, contents and drafts -----------------------------------------------------------


def test_two_good_phones_share_one_content():
    """Two phones of one route are two orders on one content, with one digest."""
    made = composed(Letter(subject="Disk", plain="95 %"), SMS, OTHER)
    assert ["Disk\n95 %"] == [each.text for each in made.contents]
    assert [(0, 0, A), (1, 0, B)] == [(each.recipient, each.content, each.target) for each in made.drafts]
    assert 1 == len({(each.digest, each.says) for each in made.drafts})
    assert ((), ()) == (made.refusals, made.files)


def test_an_order_has_all_accounts_of_its_route():
    """In their order, each once. A group is one account's own, and so is what has one account only."""
    oncall = {"oncall": Alias(to=(A, "g777"))}
    ways = [route(accounts=["main", "backup", "main"]), route("mail", accounts=["main", "backup"])]
    made = composed(Letter(plain="hot"), "oncall@sms.example.com", MAIL, ways=ways, aliases=oncall)
    assert [(A, ("main", "backup")), ("g777", ()), (MAIL, ("main", "backup"))] == [
        (each.target, each.accounts) for each in made.drafts
    ]
    assert {"main"} == {each.account for each in made.drafts}
    assert [()] == [each.accounts for each in composed(Letter(plain="hot"), CALL).drafts]


def test_an_alias_of_three_is_three_hidden_orders():
    """An alias is an order for each member, all on one content and none shown to the sender."""
    oncall = {"oncall": Alias(to=(A, B, "g777"))}
    made = composed(Letter(plain="hot"), "oncall@sms.example.com", aliases=oncall)
    assert 1 == len(made.contents)
    assert [(0, 0, A, True), (0, 0, B, True), (0, 0, "g777", True)] == [
        (each.recipient, each.content, each.target, each.hidden) for each in made.drafts
    ]


def test_a_bad_recipient_harms_no_other():
    """What could not be resolved is a refusal at its place, the other one is an order."""
    made = composed(Letter(plain="hot"), "nobody@sms.example.com", SMS)
    assert [(0, "", "5.1.1")] == [(each.recipient, each.channel, each.reply.status) for each in made.refusals]
    assert [1] == [each.recipient for each in made.drafts]


def test_one_attachment_that_only_one_way_can_take():
    """A PDF goes by neither a call nor, where the route rejects files, an SMS: each is judged alone."""
    made = composed(Letter(plain="hot", files=(PDF,)), CALL, SMS)
    assert [(0, "call", "5.6.1")] == [(e.recipient, e.channel, e.reply.status) for e in made.refusals]
    assert "report.pdf" in made.refusals[0].reply.text
    assert [(1, A)] == [(each.recipient, each.target) for each in made.drafts]
    strict = [route("sms", attachments="reject")]
    made = composed(Letter(plain="hot", files=(WAV,)), SMS, CALL, ways=strict)
    assert [(0, "sms", "5.6.1")] == [(e.recipient, e.channel, e.reply.status) for e in made.refusals]
    assert [(1, "call")] == [(each.recipient, each.channel) for each in made.drafts]
    assert (0,) == made.files


def test_a_way_that_is_impossible_is_refused_to_everyone_on_it():
    """Two recipients of one impossible way hear the same reply, each as a refusal of its own."""
    made = composed(Letter(plain="hot", files=(PDF,)), CALL, "79991234568@call.example.com")
    assert [0, 1] == [each.recipient for each in made.refusals]
    assert 1 == len({each.reply for each in made.refusals})
    assert isinstance(made.refusals[0], Refusal)


def test_routes_fill_the_order():
    """Account, priority and expiry come from the route, the moments from now."""
    (draft,) = composed(
        Letter(plain="hot"), SMS, ways=[route("sms", account="spare", priority=5, expire="2h")]
    ).drafts
    assert ("spare", "sms", 5, False) == (draft.account, draft.channel, draft.priority, draft.hidden)
    assert (NOW, NOW + 2 * HOUR) == (draft.start_at, draft.expire_at)


def test_time_moves_start_and_expiry():
    """With `time` the order's day begins then, and expiry counts from there."""
    (draft,) = composed(Letter(plain="hot"), SMS, ways=[route("sms", params={"time": "+90"})]).drafts
    assert NOW + 90 * MINUTE == draft.start_at
    assert draft.start_at + 24 * HOUR == draft.expire_at
    (draft,) = composed(Letter(plain="hot"), SMS, ways=[route("sms", params={"time": "0101200000"})]).drafts
    assert NOW == draft.start_at


def test_notes_of_the_reader_are_kept():
    """What could not be read of the mail is said for the whole of it."""
    assert ("a part was cut",) == composed(Letter(plain="hot", notes=("a part was cut",)), SMS).notes


# -- digests -----------------------------------------------------------------------------------


def test_equal_content_has_equal_digests():
    """The same text, parameters and files from two mails are one request and one saying."""
    first, second = (
        composed(Letter(subject="s", plain="hot", files=(WAV,), message_id=str(n)), CALL).drafts[0]
        for n in range(2)
    )
    assert (first.digest, first.says) == (second.digest, second.says)


@pytest.mark.parametrize(
    ("letter", "values", "same_words"),
    [
        (Letter(subject="s", plain="warm"), {}, False),
        (Letter(subject="s", plain="hot"), {"params": {"sender": "OPS"}}, True),
        (Letter(subject="s", plain="hot"), {"account": "spare"}, True),
        (Letter(subject="s", plain="hot"), {"comment": "other"}, True),
        (Letter(subject="s", plain="hot", files=(WAV,)), {"attachments": "drop"}, True),
    ],
)
def test_different_content_has_different_digests(letter, values, same_words):
    """Another text, parameter, account or comment is another request; the phone hears texts alone."""
    base = composed(Letter(subject="s", plain="hot"), SMS).drafts[0]
    other = composed(letter, SMS, ways=[route("sms", **values)]).drafts[0]
    dropped = bool(letter.files)
    assert dropped == (base.digest == other.digest)
    assert same_words == (base.says == other.says)


def test_files_are_part_of_the_digest():
    """Octets and names tell files apart; a spooled file equals only itself."""
    variants = [
        WAV,
        dataclasses.replace(WAV, data=b"RIFX"),
        dataclasses.replace(WAV, name="b.wav"),
        dataclasses.replace(WAV, data=b"", path="/spool/1"),
        dataclasses.replace(WAV, data=b"", path="/spool/2"),
    ]
    found = [composed(Letter(plain="hot", files=(each,)), CALL).drafts[0] for each in variants]
    assert len(variants) == len({each.digest for each in found}) == len({each.says for each in found})


@pytest.mark.parametrize("other", [{"subject": "Alarm 2"}, {"from_": "bob@example.com"}])
def test_mails_with_another_subject_or_sender_say_something_else(other):
    """Two mails with one body but other subjects or senders are no repeats of each other."""
    first = composed(Letter(subject="Alarm 1", from_="ann@example.com", plain="see subject"), MAIL).drafts[0]
    letter = Letter(**{"subject": "Alarm 1", "from_": "ann@example.com", "plain": "see subject", **other})
    assert first.says != composed(letter, MAIL).drafts[0].says


def test_messages_for_other_moments_say_something_else():
    """A reminder for tonight does not repeat the one for noon, though the words are the same."""
    first, second = (
        composed(Letter(plain="take it"), SMS, ways=[route("sms", params={"time": time_})]).drafts[0]
        for time_ in ("+60", "+600")
    )
    assert (first.digest != second.digest, first.says != second.says) == (True, True)


# -- options and headers -----------------------------------------------------------------------


def test_options_of_an_address_choose_channel_and_parameters():
    """+call and +flash are other contents of the same mail, each with its own flags."""
    made = composed(
        Letter(plain="hot"),
        "79991234567+call+voice=m2@sms.example.com",
        "79991234567+flash@sms.example.com",
        SMS,
        ways=[route("sms", allow=["call", "flash", "voice"])],
    )
    assert [("call", {"call": "1", "voice": "m2"}), ("flash", {"flash": "1"}), ("sms", {})] == [
        (each.channel, each.params) for each in made.contents
    ]


def test_an_option_leaves_parameters_behind_that_its_channel_lacks():
    """Where +call changes the channel, what only an SMS knows of the route is left out."""
    way = route("sms", allow=["call"], params={"valid": "2", "tz": "1", "voice": "w3"})
    (one,) = composed(Letter(plain="hot"), "79991234567+call@sms.example.com", ways=[way]).contents
    assert {"call": "1", "tz": "1", "voice": "w3"} == one.params
    assert {"valid": "2", "tz": "1"} == composed(Letter(plain="hot"), SMS, ways=[way]).contents[0].params


def test_a_senders_name_on_the_route_does_not_break_a_call():
    """A route's sender that is a name can't be a call's: the call is made or refused, DATA does not crash."""
    way = route("sms", allow=["call"], params={"sender": "ALERTS"})
    made = composed(Letter(plain="hot"), "79991234567+call@sms.example.com", SMS, ways=[way])
    assert {"sender": "ALERTS"} == made.contents[-1].params
    assert 2 == len(made.drafts) + len(made.refusals)


def test_headers_set_what_the_route_allows():
    """X-SMSC-* headers set parameters and flags; others of that family are nobody's business."""
    letter = asking(sender=" OPS ", valid="2", id="5")
    assert {"sender": "OPS", "valid": "2"} == content(letter, allow=["sender", "valid"]).params
    assert {"flash": "1"} == content(asking(flash="1"), allow=["flash"]).params
    assert {"flash": "1"} == content(asking(channel="FLASH"), allow=["flash"]).params
    assert {} == content(asking(id="5")).params


def test_headers_that_are_not_allowed_are_refused_by_name():
    """A header that the route does not allow, or with a bad value, is named in the reply."""
    reply = refused(asking(valid="2"), allow=["time"])
    assert (550, "5.7.1") == (reply.code, reply.status)
    assert "valid" in reply.text
    assert "time" in reply.text
    assert "5.7.1" == refused(asking(channel="call")).status
    reply = refused(asking(valid="99"), allow=["valid"])
    assert "5.5.4" == reply.status
    assert "valid" in reply.text


def test_headers_without_meaning_on_the_channel_are_passed_over():
    """A header counts for all recipients: where it means nothing it is left out, and that is said."""
    found = content(asking(voice="w2"), allow=["voice"])
    assert {} == found.params
    noted(found, "voice", "sms")


def test_options_beat_headers_beat_the_route():
    """Of three values for one parameter the address's wins, then the header's."""
    letter = asking(valid="3", tz="3")
    way = {"params": {"valid": "1", "tz": "1", "maxsms": "1"}, "allow": ["valid", "tz"]}
    found = content(letter, "79991234567+valid=2@sms.example.com", **way)
    assert {"valid": "2", "tz": "3", "maxsms": "1"} == found.params


def test_a_channel_of_the_address_beats_one_of_a_header():
    """+flash stays flash though a header says call."""
    way = {"allow": ["call", "flash", "valid", "sms"]}
    letter = asking(channel="call", valid="3")
    found = content(letter, "79991234567+flash@sms.example.com", **way)
    assert ("flash", {"flash": "1", "valid": "3"}) == (found.channel, found.params)


def test_naming_the_routes_own_channel_beats_a_header():
    """+sms on an SMS route is an option like any other: no header turns it into a call."""
    found = content(asking(channel="call"), "79991234567+sms@sms.example.com", allow=["call", "sms"])
    assert "sms" == found.channel


def test_options_are_checked_for_the_channel_that_a_header_chooses():
    """A sender's name that an option sets for an SMS never goes out with a call."""
    way = route("sms", allow=["call", "sender"])
    made = composed(asking(channel="call"), "79991234567+sender=ALERTS@sms.example.com", ways=[way])
    assert [] == [
        each.params for each in made.contents if (each.channel, each.params["sender"]) == ("call", "ALERTS")
    ]


def test_a_flag_that_is_off_changes_nothing():
    """X-SMSC-Call: 0 is nobody's wish to be called."""
    made = composed(asking(call="0"), SMS, ways=[route("sms", allow=["call"])])
    assert [] == [each.channel for each in made.contents if each.channel == "call"]


def test_a_header_never_turns_a_mail_into_a_call():
    """The target of a mail route is a mail address: no header may have it called."""
    made = composed(asking(channel="call"), MAIL, ways=[route("mail", allow=["call"])])
    assert [] == [each.channel for each in made.contents if each.channel == "call"]


def test_parameters_that_belong_together():
    """A freq without period would be ignored by the provider, so it is refused, naming it."""
    reply = refused(asking(freq="30"), allow=["freq", "period"])
    assert "5.5.4" == reply.status
    assert "freq" in reply.text
    assert {"freq": "30", "period": "2"} == content(
        asking(freq="30", period="2"), allow=["freq", "period"]
    ).params


# -- loops and empty mail ----------------------------------------------------------------------


@pytest.mark.parametrize("auto", [Auto.REPLIED, Auto.REPORT])
def test_automatic_replies_stay_off_phones(auto):
    """Bounces and auto-replies are refused on phones, unless the route wants them; mail takes them."""
    letter = Letter(plain="away", auto=auto)
    assert "5.7.1" == refused(letter).status
    assert "away" == content(letter, loops="send").text
    assert content(letter, MAIL).text.startswith("away")


@pytest.mark.parametrize("auto", [Auto.PERSON, Auto.GENERATED])
def test_alarms_of_machines_pass(auto):
    """What a monitor generated is what the relay is for."""
    assert "hot" == content(Letter(plain="hot", auto=auto)).text


@pytest.mark.parametrize("to", [SMS, MAIL])
def test_mail_that_goes_round_is_stopped(to):
    """More than fifty Received headers are a loop on every channel."""
    assert replies.LOOP == refused(Letter(plain="hot", received=51), to)
    assert () == composed(Letter(plain="hot", received=50), to).refusals


@pytest.mark.parametrize(
    "letter",
    [
        Letter(),
        Letter(subject=" \t", plain="\n\r\n"),
        Letter(plain="\u200b\ufeff"),
        Letter(plain=mark(0), files=(PDF,)),
    ],
)
def test_empty_mail_is_refused(letter):
    """Nothing is sent of nothing, and an SMS of a file alone is nothing."""
    reply = refused(letter)
    assert (554, "5.6.0") == (reply.code, reply.status)
    assert "empty" in reply.text


# -- text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "body", "text"),
    [
        ("Disk", "95 %", "Disk\n95 %"),
        ("Disk full", "Disk full on db1", "Disk full on db1"),
        ("Re: Disk full", "see:\ndisk  FULL\nnow", "see:\ndisk  FULL\nnow"),
        ("Disk full on db1", "Disk full", "Disk full on db1"),
        ("", "95 %", "95 %"),
        ("Disk", "", "Disk"),
        ("Диск 95 %", "db1", "Диск 95 %\ndb1"),
    ],
)
def test_what_is_said_twice_is_said_once(subject, body, text):
    """Subject and body are both sent, or the longer one where it says the other."""
    assert text == content(Letter(subject=subject, plain=body)).text


@pytest.mark.parametrize("row", ["eth0: link is down, retrying ~ ", "eth0: сеть пропала "])
@pytest.mark.parametrize("parts", [1, 3, 9])
def test_a_subject_is_never_cut_off_with_the_line_that_says_it(row, parts):
    """A log that ends in the alarm's words is cut before them: the subject is all that says them."""
    letter = Letter(subject="Raid lost", plain=row * 40 + "\nRaid lost")
    found = content(letter, max_parts=parts)
    assert found.text.startswith("Raid lost\neth0")
    assert parts >= found.parts


@pytest.mark.parametrize("row", ["eth0: link is down ", "\n\n \n", "\t \n", "x\n", "\ufdd00\ufdd1 "])
def test_of_a_long_text_the_beginning_is_enough(row):
    """What comes out is what comes out of the whole, however little a text says, and the cut is told."""
    letter = Letter(subject="Raid", plain=row * 9_000 + "\nlast line", files=(WAV,))
    plainly = content(letter, trim=False)
    slowly = content(letter, trim=False, text="{{ subject }}\n{{ body | string }}")
    assert (slowly.text, slowly.parts) == (plainly.text, plainly.parts)
    assert len(slowly.notes) == len(plainly.notes)
    if "down" in row:
        noted(plainly, "the text was cut from 171015 to ")


def test_html_is_read_where_the_text_says_nothing():
    """A stub or nothing gives way to the HTML; a real text does not."""
    html = "<p>Disk <b>full</b></p>"
    assert "Disk full" == content(Letter(html=html)).text
    assert "Disk full" == content(Letter(html=html, plain="Please view this mail in an HTML client")).text
    assert "plain" == content(Letter(html=html, plain="plain")).text


def test_signatures_are_trimmed_and_that_is_said():
    """Trimming is the route's wish, and never silent."""
    letter = Letter(plain="Disk full\n-- \nBob\nOps")
    found = content(letter)
    assert "Disk full" == found.text
    noted(found, "signature")
    assert "Disk full\n--\nBob\nOps" == content(letter, trim=False).text


def test_alphabet_and_parts_are_counted():
    """GSM-7 where it fits after mapping, else UCS-2; a call counts no parts."""
    found = content(Letter(plain="Disk «db»\u00a0— 95…"))
    assert ('Disk "db" - 95...', "gsm7", 1) == (found.text, found.alphabet, found.parts)
    found = content(Letter(plain="Ж" * 71))
    assert ("ucs2", 2) == (found.alphabet, found.parts)
    found = content(Letter(plain="hot"), CALL)
    assert ("", 0) == (found.alphabet, found.parts)


def test_alphabets_of_a_route():
    """gsm7 costs letters and says so; translit leaves it to the provider, whose letters are counted."""
    found = content(Letter(plain="Ж1"), alphabet="gsm7")
    assert ("?1", "gsm7") == (found.text, found.alphabet)
    noted(found, "question marks")
    found = content(Letter(plain="Жар" * 20), alphabet="translit")
    assert ({"translit": "1"}, "gsm7", 1) == (found.params, found.alphabet, found.parts)
    found = content(Letter(plain="Жар" * 30), params={"translit": "0"})
    assert ("ucs2", 2) == (found.alphabet, found.parts)


def test_an_option_beats_the_routes_transliteration():
    """+translit=2 chooses the other manner though the route's alphabet means the first."""
    way = {"alphabet": "translit", "allow": ["translit"]}
    assert {"translit": "2"} == content(
        Letter(plain="Ж"), "79991234567+translit=2@sms.example.com", **way
    ).params


@pytest.mark.parametrize("alphabet", ["gsm7", "translit"])
def test_a_call_reads_letters_as_they_are(alphabet):
    """Alphabets are for text messages: a voice never reads out question marks or Latin letters."""
    way = route("sms", alphabet=alphabet, allow=["call"])
    (one,) = composed(Letter(plain="Диск"), "79991234567+call@sms.example.com", ways=[way]).contents
    assert ("Диск", {"call": "1"}) == (one.text, one.params)


def test_long_text_is_cut_at_a_word_and_that_is_said():
    """max_parts bounds parts, maxsms bounds them further, 1000 characters bound everything."""
    words = Letter(plain="alarm " * 400)
    found = content(words, max_parts=2)
    assert 2 == found.parts
    assert found.text.endswith("alarm...")
    noted(found, "cut", str(len(found.text)))
    found = content(words, "79991234567+maxsms=1@sms.example.com", allow=["maxsms"])
    assert (1, "1") == (found.parts, found.params["maxsms"])
    noted(found, "cut")
    assert 2 == content(words, params={"maxsms": "9"}, max_parts=2).parts
    for to in (SMS, CALL):
        found = content(words, to, max_parts=99)
        assert 980 < len(found.text) <= 1000
        noted(found, "cut")


def test_short_text_is_not_said_to_be_cut():
    """What fits goes whole, without a note."""
    found = content(Letter(plain="x" * 1000))
    assert ("x" * 1000, ()) == (found.text, found.notes)


def test_transliterated_text_is_cut_as_it_is_counted():
    """What fits one part as the provider's Latin letters is not cut as if it were Cyrillic."""
    found = content(Letter(plain="Ж" * 75), alphabet="translit", max_parts=1)
    assert ("Ж" * 75, 1, ()) == (found.text, found.parts, found.notes)


# -- templates ---------------------------------------------------------------------------------

FULL = Letter(
    subject="Disk",
    plain="full",
    from_="mon@example.com",
    to="Ops <ops@example.com>",
    message_id="<1@example.com>",
    date="Mon, 1 Jan 2027",
    headers=(("X-Host", "db1"),),
)
EVERY = "{{ subject }}|{{ body }}|{{ from }}|{{ to }}|{{ message_id }}|{{ date }}|{{ header('x-host') }}"


def test_templates_know_every_name():
    """Text and comment templates see the mail's parts and any header."""
    found = content(
        FULL, text=EVERY, comment="{{ from }} {{ header('X-None') }}{{ message_id }}", attachments="drop"
    )
    said = "Disk|full|mon@example.com|Ops <ops@example.com>|<1@example.com>|Mon, 1 Jan 2027|db1"
    assert f"{said}{SEPARATOR}mon@example.com <1@example.com>" == found.text


def test_a_template_of_the_subject_alone_has_its_subject():
    """What a body says as well is not taken from a template that never shows the body."""
    letter = Letter(subject="Disk full", plain="Disk full on db1\ndetails nobody needs")
    made = composed(letter, SMS, ways=[route("sms", text="{{ subject }}")])
    assert ["Disk full"] == [each.text for each in made.contents]


def test_a_template_of_the_body_alone_has_its_body():
    """Likewise for a body that the subject says as well."""
    made = composed(Letter(subject="Disk full", plain="Disk"), SMS, ways=[route("sms", text="! {{ body }}")])
    assert ["! Disk"] == [each.text for each in made.contents]


@pytest.mark.parametrize("broken", ["{{ nothing }}", "{{ subject / 0 }}", "{{ 1 // (body | length - 4) }}"])
def test_a_failing_template_does_not_lose_the_alarm(broken):
    """Subject and text go plainly, a comment is left out, and the report says why."""
    found = content(FULL, text=broken)
    assert "Disk\nfull" == found.text
    noted(found, "text template failed")
    found = content(FULL, comment=broken.replace("body | length - 4", "subject | length - 4"))
    assert "Disk\nfull" == found.text
    noted(found, "comment template failed")
    found = content(FULL, MAIL, text=broken)
    assert "full{no_unsub}" == found.text
    noted(found, "text template failed")


def test_a_template_that_never_ends_does_not_lose_the_alarm():
    """A macro that calls itself for want of a stop is a failing template like any other."""
    endless = "{% macro more() %}{% if body %}{{ more() }}{% endif %}{% endmacro %}{{ more() }}"
    assert "Disk\nfull" == content(FULL, text=endless).text


# -- comments ----------------------------------------------------------------------------------


def test_the_last_mark_starts_the_authors_comment():
    """The author's comment comes first, then the route's; earlier marks are broken up."""
    found = content(
        Letter(subject="Disk", plain="full\n~~~\nof logs\n~~~\nseen by owner"), comment="{{ subject }}!"
    )
    assert f"Disk\nfull\n~ ~ ~\nof logs{SEPARATOR}seen by owner\nDisk!" == found.text
    noted(found, "comment", "seen by owner")


def test_a_fence_does_not_hide_an_alarm():
    """A mark before which nothing stands begins no comment; the text is all there."""
    assert "~ ~ ~\nALARM" == content(Letter(plain="~~~\nALARM")).text
    assert "ALARM" == content(Letter(plain="ALARM\n~~~\n")).text


def test_a_file_is_no_text_before_a_comment():
    """The place of a dropped file is nothing: what follows a mark after it is the alarm."""
    made = composed(Letter(plain=f"{mark(0)}\n~~~\nALARM", files=(PDF,)), SMS)
    assert [True] == ["ALARM" in each.text.split(SEPARATOR)[0] for each in made.contents]


def test_marks_in_subject_headers_and_templates_are_broken():
    """One mark at most, wherever a stranger wrote another."""
    letter = Letter(subject="~~~", plain="a\n~~~\nb", headers=(("X-Note", "~~~"),))
    found = content(letter, comment="c\n{{ header('X-Note') }}\nd")
    assert f"~ ~ ~\na{SEPARATOR}b\nc\n~ ~ ~\nd" == found.text


def test_on_a_call_an_authors_mark_is_plain_text():
    """After a call's text the provider reads parameters there: only the route's comment may stand."""
    letter = Letter(plain="wake up\n~~~\nparam: 1,1,9")
    assert "wake up\n~ ~ ~\nparam: 1,1,9" == content(letter, CALL).text
    assert f"wake up\n~ ~ ~\nparam: 1,1,9{SEPARATOR}bill" == content(letter, CALL, comment="bill").text


def test_a_comment_never_costs_the_text():
    """Text and comment have 1000 characters together; the comment is cut first, and that is said."""
    found = content(Letter(plain="x" * 900), comment="c" * 200)
    assert "x" * 900 + SEPARATOR + "c" * 95 == found.text
    noted(found, "comment was cut to 95")
    found = content(Letter(plain="x" * 1000), comment="c")
    assert "x" * 1000 == found.text
    noted(found, "comment was cut to 0")
    found = content(Letter(plain="x" * 994), comment="c")
    assert 1000 == len(found.text)
    assert () == found.notes


def test_a_cut_comment_holds_no_mark():
    """Where a comment is cut right after three tildes that is no second mark."""
    found = content(Letter(plain="x" * 900), comment="c" * 91 + "\n~~~ and so on")
    assert 1 == sum(line.strip() == "~~~" for line in found.text.split("\n"))


def test_a_comment_holds_no_places_of_files():
    """A file that stood in the comment leaves nothing there, noncharacters least of all."""
    found = content(Letter(plain=f"hot\n~~~\nseen{mark(0)}", files=(PDF,)))
    assert f"hot{SEPARATOR}seen" == found.text
    assert [] == [note for note in found.notes if "\ufdd0" in note]


@pytest.mark.parametrize("harm", HARMFUL)
@pytest.mark.parametrize("to", [SMS, CALL, MAIL])
def test_a_comment_commands_nothing(harm, to):
    """The author's comment and what a stranger put into the route's are part of `mes` like the text."""
    letter = Letter(subject=harm, plain=f"hot\n~~~\n{harm}")
    found = content(letter, to, text="{{ body }}", comment="{{ subject }}")
    assert [] == [each for each in FOUND if each in found.text], found.text


# -- files on phone channels -------------------------------------------------------------------


def test_files_are_dropped_and_that_is_said():
    """A channel without files drops them, naming each; a picture shown in the text is no reason to reject."""
    found = content(Letter(plain=f"hot{mark(0)}", files=(PDF, PICTURE)))
    assert ("hot", ()) == (found.text, found.files)
    noted(found, "report.pdf")
    noted(content(Letter(plain="hot", files=(PICTURE,)), attachments="reject"), "logo.png")


def test_files_are_rejected_by_name():
    """Where the route rejects files the reply names them."""
    reply = refused(Letter(plain="hot", files=(PDF, WAV)), attachments="reject")
    assert (554, "5.6.1") == (reply.code, reply.status)
    assert "report.pdf, alarm.wav" in reply.text


def test_a_call_plays_a_recording_in_its_place():
    """The mark becomes <file 1> where the recording stood; the voice is the route's."""
    letter = Letter(subject="Fire", plain=f"listen {mark(0)} and run", files=(WAV,))
    found = content(letter, CALL, params={"voice": "w2"})
    assert ("Fire\nlisten <file 1> and run", (0,)) == (found.text, found.files)
    assert {"call": "1", "voice": "w2"} == found.params


def test_recordings_without_a_place_come_last():
    """Placed files first, in the order of the text; the rest after it; a call of a recording alone."""
    second = dataclasses.replace(WAV, name="b.wav")
    letter = Letter(plain=f"a {mark(1)} b {mark(1)}", files=(WAV, second))
    found = content(letter, CALL)
    assert ("a <file 1> b\n<file 2>", (1, 0)) == (found.text, found.files)
    found = content(Letter(files=(WAV,)), CALL)
    assert ("<file 1>", (0,)) == (found.text, found.files)


@pytest.mark.parametrize(
    ("files", "code", "status", "name"),
    [
        ([dataclasses.replace(WAV, name="big.wav", size=6 * MB)], 552, "5.3.4", "big.wav"),
        ([dataclasses.replace(WAV, name=f"{n}.wav") for n in range(1, 6)], 552, "5.3.4", "5.wav"),
        ([dataclasses.replace(WAV, name="a.exe")], 554, "5.6.1", "a.exe"),
        (
            [WAV, dataclasses.replace(WAV, name="b.wav", type="application/x-msdownload")],
            554,
            "5.6.1",
            "b.wav",
        ),
    ],
)
def test_files_that_a_call_can_not_play(files, code, status, name):
    """Too large, one too many, of another kind or only named like a sound: refused by name."""
    reply = refused(Letter(plain="hot", files=tuple(files)), CALL)
    assert (code, status) == (reply.code, reply.status)
    assert name in reply.text


def test_a_cut_text_still_plays_its_recording():
    """A text too long for a call loses words, not the recording after it."""
    letter = Letter(plain="alarm " * 400 + mark(0), files=(WAV,))
    found = content(letter, CALL)
    assert (0,) == found.files
    assert "<file 1>" in found.text


def test_places_of_files_count_as_characters():
    """`mes` keeps to 1000 characters with four recordings in it."""
    files = tuple(dataclasses.replace(WAV, name=f"{n}.wav") for n in range(4))
    letter = Letter(plain="".join(mark(n) for n in range(4)) + "x" * 988, files=files)
    assert 1000 >= len(content(letter, CALL).text)


# -- what text must never do -------------------------------------------------------------------


@pytest.mark.parametrize(
    "harm", [*HARMFUL, "__ call__: x", "a\n{button,1}", "&lt;file /upload/x&gt;", "__ПИНГ__"]
)
@pytest.mark.parametrize("to", [SMS, CALL])
def test_text_commands_nothing(harm, to):
    """Prefixes, menus and file references come out harmless from body, subject and template."""
    for letter in (
        Letter(plain=harm),
        Letter(subject=harm),
        Letter(html=f"<p>{harm.replace('<', '&lt;')}</p>"),
    ):
        found = content(letter, to).text
        assert found != harm
        assert [] == [each for each in (*FOUND, "{button", "__ПИНГ__", "__ call__") if each in found]


@pytest.mark.parametrize("harm", [*HARMFUL, "__MAIL__: x"])
def test_mail_commands_nothing(harm):
    """The same on mail, in plain text and in HTML."""
    for letter in (Letter(plain=f"{harm}."), Letter(html=f"<p>{harm}.</p>")):
        found = content(letter, MAIL).text
        assert [] == [each for each in (*FOUND, "__MAIL__") if each in found]


@pytest.mark.parametrize("harm", [*HARMFUL, "a\r\nb", "a\n~~~\nb"])
def test_a_subject_that_stands_in_for_the_text_of_a_mail_commands_nothing(harm):
    """A mail without text is its subject, made harmless like any text."""
    found = content(Letter(subject=harm), MAIL).text
    assert [] == [each for each in (*FOUND, "\r", SEPARATOR) if each in found]


@pytest.mark.parametrize("harm", HARMFUL)
def test_with_macros_text_is_left_alone(harm):
    """A route with `macros: true` is the operator's own: its commands go out as they are."""
    assert harm == content(Letter(plain=harm), macros=True).text
    assert f"{harm}{{no_unsub}}" == content(Letter(plain=harm), MAIL, macros=True).text
    assert "a\n~ ~ ~\nb" == content(Letter(plain="a\n~~~\nb"), CALL, macros=True).text


SPLINTERS = [
    "~~~",
    "\n~~~\n",
    "\r\n",
    "\r",
    "\x00",
    "__",
    "CALL",
    ": ",
    "{",
    "menu",
    ": 1}",
    "<",
    "file ",
    "/upload>",
]
FILLERS = [mark(0), mark(1), "\u2028", "\u200b", "Ж", "x" * 90, "word ", "\n", "~", "_", "＿", "🔥"]
SCRAPS = st.sampled_from([*HARMFUL, *SPLINTERS, *FILLERS])
TEXTS = st.lists(SCRAPS | st.text(max_size=5), max_size=14).map("".join)


@given(subject=TEXTS, body=TEXTS, to=st.sampled_from([SMS, CALL, MAIL]), files=st.booleans())
@examples(max_examples=150)
def test_no_text_breaks_out(subject, body, to, files):
    """Whatever a stranger writes: no carriage return, control or command leaves, and no second mark."""
    letter = Letter(subject=subject, plain=body, files=(WAV, WAV) if files else ())
    way = route(
        "mail" if to == MAIL else to.rpartition("@")[2].split(".")[0], text="{{ subject }}\n{{ body }}"
    )
    for each in composed(letter, to, ways=[way]).contents:
        text = each.text.split(SEPARATOR)[0]
        assert [] == [bad for bad in ("\r", "\x00", "\ufdd0", "\ufdd1", "\u2028", *FOUND) if bad in text]
        assert sum(line.strip() == "~~~" for line in each.text.split("\n")) <= 1
        assert "~~~" not in [line.strip() for line in text.split("\n")]
        assert to == MAIL or files or len(each.text) <= 1000
        assert sorted(each.files) == sorted(set(each.files))


@given(body=TEXTS, comment=TEXTS)
@examples(max_examples=100)
def test_mes_keeps_to_a_thousand_characters(body, comment):
    """Text, author's and route's comment together keep to the provider's limit, with one mark at most."""
    letter = Letter(plain=f"{body}\n~~~\n{comment}", headers=(("X-Note", comment),))
    for each in composed(letter, SMS, ways=[route("sms", comment="{{ header('X-Note') }}")]).contents:
        assert len(each.text) <= 1000
        assert "\r" not in each.text
        assert each.parts <= 10


@pytest.mark.timeout(20)  # a quadratic reading would take hours
@pytest.mark.parametrize("to", [SMS, CALL, MAIL])
def test_long_runs_of_spaces_cost_no_time(to):
    """Composing takes linear time: a mail of spaces holds nobody up."""
    letter = Letter(plain="x" + " " * 50_000 + "y")
    composed(letter, to)


def test_html_is_read_once_for_all_ways():
    """However many ways a mail is sent, its HTML is laid out once."""
    source = Source(Letter(html="<table><tr><td>disk</td><td>full</td></tr></table>"))
    assert "disk" in source.readable
    assert source.readable is source.readable


# -- mail --------------------------------------------------------------------------------------


def test_mail_keeps_html_and_places_pictures():
    """Pictures become <file 1> and <file 2> where they stood; a PDF without a place comes third."""
    second = dataclasses.replace(PICTURE, name="b.png", cid="b")
    letter = Letter(
        subject="News",
        from_="ann@example.com",
        plain="ignored",
        html=f"<html><body><p>one {mark(2)}</p><p>two {mark(0)} end</p>\n{mark(1)}</body></html>",
        files=(second, PDF, PICTURE),
    )
    found = content(letter, MAIL)
    assert "<p>one <file 1></p><p>two <file 2> end</p>{no_unsub}" == found.text
    assert (2, 0, 1) == found.files
    assert {"mail": "1", "subj": "News", "sender": "ann@example.com"} == found.params
    assert ("", 0, ()) == (found.alphabet, found.parts, found.notes)


def test_a_picture_at_the_very_end_keeps_its_place():
    """HTML that ends with a picture still shows it there."""
    letter = Letter(html=f"<body>one{mark(0)}</body>", files=(PICTURE,))
    assert "one<file 1>{no_unsub}" == content(letter, MAIL).text


def test_mail_whose_html_says_nothing_keeps_its_text():
    """Where the HTML is an empty shell the plain text is the mail."""
    letter = Letter(subject="s", plain="ALARM", html="<html><body></body></html>")
    assert "ALARM" in content(letter, MAIL).text


def test_mail_in_plain_text():
    """Plain text goes as it is, in full length, and files without a place need no mark."""
    letter = Letter(
        subject="s", plain="line  one\n\n\n\nline two\n" + "x" * 5000 + f"\n{mark(0)}\n", files=(PDF,)
    )
    found = content(letter, MAIL)
    assert "line  one\n\n\n\nline two\n" + "x" * 5000 + "{no_unsub}" == found.text
    assert (0,) == found.files


def test_mail_goes_to_the_address_as_given():
    """The local part of a mail address is its owner's."""
    (draft,) = composed(Letter(plain="x"), MAIL).drafts
    assert (MAIL, "mail", False) == (draft.target, draft.channel, draft.hidden)


def test_mail_stand_ins():
    """The provider demands subject, sender and text: each has something to stand in for it."""
    found = content(Letter(), MAIL)
    assert ("(no text){no_unsub}", "(no subject)", "ops@mon.example.com") == (
        found.text,
        found.params["subj"],
        found.params["sender"],
    )
    (bounce,) = composed(Letter(subject="only  this\n"), MAIL, sender="").contents
    assert bounce.text.startswith("only")
    assert ("only this", "relay@example.com") == (bounce.params["subj"], bounce.params["sender"])


def test_mail_parameters_of_the_route_win():
    """A route's sender and subject beat the mail's own."""
    given_ = {"sender": "alarms@example.com", "subj": "Alarm"}
    found = content(Letter(subject="s", from_="ann@example.com", plain="x"), MAIL, params=given_)
    assert {"mail": "1", **given_} == found.params


def test_mail_unsubscribe_and_comment():
    """{no_unsub} goes along unless the link is wanted; the route's comment comes last, marks broken."""
    letter = Letter(subject="s", plain="x\n~~~\ny")
    assert "x\n~ ~ ~\ny" == content(letter, MAIL, unsubscribe=True).text
    assert (
        f"x\n~ ~ ~\ny{{no_unsub}}{SEPARATOR}bill s"
        == content(letter, MAIL, comment="bill {{ subject }}").text
    )


def test_mail_templates():
    """A route's template frames the text of a mail, subject and all."""
    assert (
        "[s] x{no_unsub}"
        == content(Letter(subject="s", plain="x"), MAIL, text="[{{ subject }}] {{ body }}").text
    )


def test_mail_says_when_files_become_links():
    """Over 15 MB in all some files travel as links, which the report says; a file too large is refused."""
    file = dataclasses.replace(PDF, size=9 * MB)
    noted(content(Letter(plain="x", files=(file, file)), MAIL), "links")
    assert () == content(Letter(plain="x", files=(file,)), MAIL).notes
    assert "5.3.4" == refused(Letter(plain="x", files=(dataclasses.replace(PDF, size=11 * MB),)), MAIL).status


def test_marks_never_leave():
    """No mark of a file is left in any text, even for a file that is not there."""
    for to in (SMS, CALL, MAIL):
        found = content(Letter(plain=f"a{mark(7)}b", files=(WAV,)), to)
        assert not re.search(MARK, found.text)
        assert found.text.startswith("a b")


# -- further corners ---------------------------------------------------------------------------


def test_what_the_reader_made_of_html_is_not_made_again():
    """A letter that brings its readable text is taken at its word."""
    assert "as read" == content(Letter(html="<p>other</p>", readable="as read")).text


def test_a_header_that_chooses_no_channel_is_passed_over_with_a_note():
    """X-SMSC-Channel: nonsense sends the message all the same."""
    found = content(asking(channel="pigeon"))
    assert "sms" == found.channel
    noted(found, "pigeon")


def test_a_flag_takes_nothing_but_0_and_1():
    """+flash=2 is refused by name."""
    reply = routes.resolve("79991234567+flash=2@sms.example.com", [route(allow=["flash"])], {})
    assert isinstance(reply, Reply)
    assert ("5.5.4", True) == (reply.status, "flash" in reply.text)


def test_transliterated_text_is_cut_where_it_no_longer_fits():
    """As long as the Latin letters that the provider will make of it allow."""
    found = content(Letter(plain="Ж" * 200), alphabet="translit", max_parts=1)
    assert 60 < len(found.text) < 90
    assert 1 == found.parts
    noted(found, "cut from 200")


def test_a_mail_template_sees_escaped_names_in_html():
    """What a stranger wrote into subject or headers is text in HTML, not markup."""
    letter = Letter(subject="<b>x", html="<p>hot</p>", headers=(("X-Host", "<i>"),), from_="a@b.example")
    found = content(letter, MAIL, text="{{ subject }}|{{ header('X-Host') }}|{{ body }}", unsubscribe=True)
    assert "&lt;b&gt;x|&lt;i&gt;|<p>hot</p>" == found.text


def test_a_mail_template_that_fails_sends_the_text_plainly():
    """And says so."""
    found = content(Letter(subject="s", plain="hot"), MAIL, text="{{ 1 // 0 }}", unsubscribe=True)
    assert "hot" == found.text
    noted(found, "template failed")


def test_a_template_that_cannot_be_read_uses_nothing():
    """Asked for its names it has none; filling it is where it fails."""
    assert frozenset() == templates.uses("{{ subject")


# -- every parameter, by every way -----------------------------------------------------------

PARAMETERS = [
    ("sms", "sender", "ALERTS"),
    ("sms", "translit", "1"),
    ("sms", "tinyurl", "1"),
    ("sms", "time", "9-21"),
    ("sms", "tz", "2"),
    ("sms", "period", "2"),
    ("sms", "valid", "2"),
    ("sms", "maxsms", "2"),
    ("call", "voice", "w2,en"),
    ("call", "param", "20,10,3"),
    ("call", "sender", "79991234567"),
    ("mail", "subj", "By the route"),
    ("mail", "sender", "noc@example.com"),
]


@pytest.mark.parametrize(
    ("channel", "name", "value", "way"),
    [
        (*row, way)
        for row in PARAMETERS
        for way in ("route", "option", "header")
        if (row[0], way) != ("mail", "option")  # a mail address has no options
    ],
)
def test_each_parameter_reaches_the_request_by_each_way(channel, name, value, way):
    """Set by the route, by a +option or by an X-SMSC-* header, where the route allows it."""
    to = {"sms": SMS, "call": CALL, "mail": MAIL}[channel]
    if way == "route":
        found = content(Letter(plain="hot"), to, params={name: value})
    elif way == "header":
        found = content(Letter(plain="hot", headers=((f"X-SMSC-{name.title()}", value),)), to, allow=[name])
    else:
        local, _, domain = to.partition("@")
        found = content(Letter(plain="hot"), f"{local}+{name}={value}@{domain}", allow=[name])
    assert value == found.params[name]


def test_frequency_goes_with_its_period():
    """As options, as headers and on the route."""
    both = {"period": "2", "freq": "30"}
    by_route = content(Letter(plain="hot"), params=both)
    by_option = content(Letter(plain="hot"), "79991234567+period=2+freq=30@sms.example.com", allow=list(both))
    assert [both, both] == [dict(by_route.params), dict(by_option.params)]


WAYS = (
    route(allow=[*params.NAMES, *channels.OPTION_CHANNELS]),
    route("call", allow=[*params.NAMES]),
    route("mms", allow=[*params.NAMES]),
    route("bot", allow=[*params.NAMES], params={"bot": "@name_bot"}),
    route("mail"),
)


@pytest.mark.parametrize("channel", channels.EXAMPLES)
def test_the_pages_example_of_a_channel_is_what_is_sent(channel):
    """docs/channels.md shows an address and a text for each channel: this is their request."""
    local, body, query = channels.EXAMPLES[channel]
    domain = channel if channel == "bot" else "sms"
    to = local if "@" in local else f"{local}@{domain}.example.com"
    made = composed(Letter(plain=body, from_="ops@example.com"), to, ways=WAYS)
    fields = wire.send_fields(
        id="1", phones=[made.drafts[0].target], text=made.contents[0].text, params=made.contents[0].params
    )
    assert query == "&".join(f"{name}={value}" for name, value in fields[2:-4])


@pytest.mark.parametrize("name", sorted(params.NAMES))
@pytest.mark.parametrize("by", ["option", "header", "route"])
def test_the_pages_example_of_a_parameter_is_what_is_sent(name, by):
    """docs/channels.md shows an option for each: it, a header or the route set the same."""
    channel, options = params.EXAMPLES[name]
    given = dict(each.split("=", 1) for each in options.split("+")[1:])
    domain = f"{channel}.example.com"
    letter, to, ways = Letter(plain="x"), f"79991234567@{domain}", WAYS
    if by == "option":
        to = f'"79991234567{options}"@{domain}'
    elif by == "header":
        letter = asking(**given)
    else:
        ways = [route(channel, params={"bot": "@name_bot", **given} if channel == "bot" else given)]
    made = composed(letter, to, ways=ways)
    assert () == made.refusals
    assert params.check(channel, name, given[name]) == made.contents[0].params[name]


# -- mail that is forwarded ----------------------------------------------------------------------


def forward(**values: object) -> Route:
    """A route past the provider."""
    return route("forward", **{"match": "*@own.example", **values})


def test_what_is_forwarded_is_the_mail_itself():
    """No text, no parameters, no account; files, headers and automatic answers don't matter."""
    letter = Letter(files=(PDF,), auto=Auto.REPORT, headers=(("X-SMSC-Flash", "1"),), notes=("odd",))
    made = composed(letter, "bob@own.example", "ann@own.example", ways=[forward(expire="1h")])
    (content,) = made.contents
    assert Content(channel="forward", text="", files=(WHOLE,), rules=content.rules) == content
    assert [("bob@own.example", "", "forward"), ("ann@own.example", "", "forward")] == [
        (draft.target, draft.account, draft.channel) for draft in made.drafts
    ]
    assert {(NOW, NOW + HOUR, "", "")} == {
        (draft.start_at, draft.expire_at, draft.digest, draft.says) for draft in made.drafts
    }
    assert ((), (), True) == (made.files, made.refusals, made.whole)


def test_phones_beside_it_are_served_as_ever():
    """And a mail without a forward keeps nothing whole."""
    made = composed(Letter(plain="x", files=(WAV,)), "bob@own.example", CALL, ways=[forward()])
    assert ["forward", "call"] == [content.channel for content in made.contents]
    assert ((0,), True) == (made.files, made.whole)
    assert not composed(Letter(plain="x"), SMS).whole


def test_a_loop_is_not_forwarded():
    """RFC 5321 section 6.3."""
    made = composed(Letter(received=51), "bob@own.example", ways=[forward()])
    assert [replies.LOOP] == [refusal.reply for refusal in made.refusals]


FORGED = "_{0}_CALL_{0}_: wake up {0}{{menu: 1}} <{0}file 1> \n~{0}~~\n"


@pytest.mark.parametrize(
    "forged", [mark(9), mark(123456), "\ufdd0", "\ufdd1", "\ufdd01234567\ufdd1", "\ufdd09"]
)
@pytest.mark.parametrize("to", [SMS, CALL, MAIL])
def test_a_mark_of_no_file_hides_nothing(forged, to):
    """It is gone before the text is made harmless: nothing joins around it afterwards."""
    body = FORGED.format(forged)
    letter = Letter(subject=body, plain=body, html=f"<p>{body}</p>" if to == MAIL else "")
    said = composed(letter, to).contents[0].text.removesuffix("{no_unsub}")
    assert not re.search(r"__\s*CALL|\{menu|<file|\n~~~\n|[\ufdd0\ufdd1]", said)


# -- escalation --------------------------------------------------------------------------------

STEPS = [{"after": "1h", "to": "boss"}, {"after": "5m", "unless": "answered", "channel": "call"}]


def test_steps_come_with_their_message_in_the_order_of_their_times():
    """Each recipient's own, counted from its own time."""
    made = composed(Letter(subject="s", plain="t"), SMS, OTHER, ways=[route(escalate=STEPS)])
    assert [(0, 1), (0, 2), (1, 1), (1, 2)] == [(each.recipient, each.n) for each in made.steps]
    assert [("call", "answered", NOW + 5 * MINUTE), ("", "delivered", NOW + HOUR)] == [
        (each.channel, each.unless, each.due_at) for each in made.steps[:2]
    ]
    assert {1} == {each.recipient for each in made.refusing({0: replies.OK}).steps}


def test_what_has_no_steps():
    """A recovery, a query, a code: nothing that somebody else should be told in other ways."""
    for subject, way in (("RESOLVED: disk", route(escalate=STEPS)), ("s", route("hlr", escalate=STEPS))):
        to = SMS if way.channel == "sms" else "79991234567@hlr.example.com"
        made = composed(Letter(subject=subject, plain="t"), to, ways=[way])
        assert made.drafts
        assert () == made.steps
