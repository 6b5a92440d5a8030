"""Every channel and parameter of the provider's page on sending, mailed in and looked at on the wire.

The examples are the page's own, with three differences that hold for all of them: a number goes
with its plus, the text in utf-8, and each request bears an id and asks for JSON.
"""

from __future__ import annotations

import email.message
import email.policy
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
import pytest_asyncio
from harness import Journey, journey, settings

from relay.config import Alias, Route
from relay.message import params
from relay.message.channels import CHANNELS
from relay.model import HOUR
from relay.report import fields, words
from relay.smsc import outcomes

LOGIN = ("login", "psw")
ASKED = [("charset", "utf-8"), ("fmt", "3"), ("cost", "3"), ("op", "1")]
PHONE = "79999999999"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00" + bytes(200)
MP3 = b"ID3\x03\x00\x00\x00\x00\x00\x00" + bytes(200)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(200)
IVR = """Вас приветствует компания.

{menu: Для связи с оператором нажмите 1, для повтора 0
1: call:79991112233 wait=30 ok:end err:9
2: sms:79991112233,SENDER,Перезвоните мне
9: Никто не отвечает
0: repeat
*: back
#: start}

Всего доброго!"""


def route(match: str, channel: str, **values: object) -> Route:
    """A route of the account `main` that allows everything."""
    allow = [*params.NAMES, *(name for name in CHANNELS if name not in ("mail", "forward", "bot"))]
    return Route.model_validate(
        {"match": match, "channel": channel, "account": "main", "accounts": ["main"], "allow": allow} | values
    )


ROUTES = (
    *(route(f"*@{name}.example.com", name) for name in CHANNELS if name not in ("mail", "forward", "bot")),
    route("*@menu.example.com", "call", macros=True),
    route("*@button.example.com", "viber", macros=True),
    route("*@bot.example.com", "bot", params={"bot": "@mybot_bot"}),
    route("*@loud.example.com", "sms", macros=True),
    route("*", "mail"),
)


@pytest_asyncio.fixture
async def every(tmp_path: Path):
    """A relay with a route for every channel."""
    config = settings(tmp_path, routes=ROUTES, delivery={"give_up": 5 * HOUR})
    async with journey(tmp_path, config=config) as running:
        yield running


def mail(subject: str, body: str, *files: tuple[str, str, bytes], **headers: str) -> bytes:
    """A mail with these files after its text."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"] = "ops@mon.example.com"
    if subject:
        message["Subject"] = subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(body)
    for name, kind, data in files:
        message.add_attachment(data, *kind.split("/"), filename=name)
    return bytes(message)


# The page's example (its query), and the mail that makes it: local part, domain, subject, body.
EXAMPLES = [
    (f"phones={PHONE}&mes=Hello!", PHONE, "sms", "", "Hello!"),
    (
        f"phones={PHONE}&mes=Hello%20world!&translit=1&time=0101300000&flash=1&sender=ivan",
        f"{PHONE}+flash+translit=1+time=0101300000+sender=ivan",
        "sms",
        "",
        "Hello world!",
    ),
    (
        f"phones={PHONE}&mes=050A0307056048656C6C6F2C20576F726C6421&bin=2",
        PHONE,
        "bin",
        "ignored",
        "050A0307056048656C6C6F2C20576F726C6421",
    ),
    (
        f"phones={PHONE}&mes=0605040B8423F0DC0601AE02056A0045C60C037761702E72752F0001037761702E7275000101&bin=2",
        f"{PHONE}+bin",
        "sms",
        "",
        "0605040b 8423f0dc 0601ae02 056a0045 c60c0377\n61702e72752f0001037761702e7275000101\n",
    ),
    (f"phones={PHONE}&mes=http://wap.ru%0AWAP.RU&push=1", PHONE, "push", "", "http://wap.ru\nWAP.RU\n"),
    (f"phones={PHONE}&mes=Hello!%0A~~~%0AComment", PHONE, "sms", "", "Hello!\n~~~\nComment"),
    ("phones=g777&mes=Hello!", "G777", "sms", "", "Hello!"),
    (f"phones={PHONE}&hlr=1", PHONE, "hlr", "a subject", "and a body"),
    (f"phones={PHONE}&ping=1", f"{PHONE}+ping", "sms", "", "anything"),
    (
        "phones=alex%40mysite.com&mes=Hello{no_unsub}&subj=Privet&sender=ops@mon.example.com&mail=1",
        "alex",
        "mysite.com",
        "Privet",
        "Hello",
    ),
    (f"phones={PHONE}&mes=Hello&call=1", PHONE, "call", "", "Hello"),
    (
        f"phones={PHONE}&mes=Hello&call=1&sender=79991234567",
        f"{PHONE}+sender=79991234567",
        "call",
        "",
        "Hello",
    ),
    (
        f"phones={PHONE}&mes=Hello%20world&call=1&voice=m&param=20%2C10%2C3",
        f'"{PHONE}+voice=m+param=20,10,3"',
        "call",
        "",
        "Hello world",
    ),
    (f"phones={PHONE}&mes=Hello%20world&call=1&voice=w2", f"{PHONE}+voice=w2", "call", "", "Hello world"),
    (
        f"phones={PHONE}&call=1&fileurl=http://mysite.com/voice.wav",
        f'"{PHONE}+fileurl=http://mysite.com/voice.wav"',
        "call",
        "",
        "",
    ),
    (f"phones={PHONE}&mes=Hello&viber=1", PHONE, "viber", "", "Hello"),
    (
        (
            f"phones={PHONE}&viber=1&mes=test+%7Bbutton%2Chttp%3A%2F%2Fsmscentre.com%2CSite%7D+"
            "%3Cfile+https%3A%2F%2Fmysite.com%2Fsms%2Fpicture.jpg%3E"
        ),
        PHONE,
        "button",
        "",
        "test {button,http://smscentre.com,Site} <file https://mysite.com/sms/picture.jpg>",
    ),
    (
        (
            f"phones={PHONE}&viber=1&mes=test+%7Bbutton%2Chttp%3A%2F%2Fsmscentre.com%2CSite%7D"
            "&fileurl=https%3A%2F%2Fmysite.com%2Fsms%2Fpicture.jpg"
        ),
        f'"{PHONE}+fileurl=https://mysite.com/sms/picture.jpg"',
        "button",
        "",
        "test {button,http://smscentre.com,Site}",
    ),
    (f"phones={PHONE}&mes=123456&tg=1", PHONE, "tg", "Your code", "123456\n"),
    (f"phones={PHONE}&mes=Hello&bot=@mybot_bot", PHONE, "bot", "", "Hello"),
    ("phones=@alex_nick&mes=Здравствуйте&bot=@mybot_bot", "alex_nick", "bot", "", "Здравствуйте"),
    ("phones=@alex_nick&mes=Hi&bot=@mybot_bot", '"@alex_nick"', "bot", "", "Hi"),
    ("phones=%231122334455&mes=Hi&bot=@mybot_bot", "#1122334455", "bot", "", "Hi"),
    (f"phones={PHONE}&mes=Привет&bot=@mybot_bot&smsreq=25", f"{PHONE}+smsreq=25", "bot", "", "Привет"),
    (f"phones={PHONE}&mes=__CALL__%3A%20Privet", PHONE, "loud", "", "__CALL__: Privet"),
    (f"phones={PHONE}&mes=__PING__", PHONE, "loud", "", "__PING__"),
    (f"phones={PHONE}&mes=Hello&soc=1", PHONE, "soc", "", "Hello"),
    (f"phones={PHONE}&mes=Hello&whatsapp=1", f"{PHONE}+whatsapp=1", "sms", "", "Hello"),
    (f"phones={PHONE}&mes=Hello&mms=1&subj=Holiday", f"{PHONE}+subj=Holiday", "mms", "", "Hello"),
    (
        f"phones={PHONE}&mes=Hello&tinyurl=1&tz=-2&period=0.5&freq=10",
        f"{PHONE}+tinyurl=1+tz=-2+period=0.5+freq=10",
        "sms",
        "",
        "Hello",
    ),
    (
        f"phones={PHONE}&mes=Hello&valid=23:59&maxsms=2&pp=12345",
        f'"{PHONE}+valid=23:59+maxsms=2+pp=12345"',
        "sms",
        "",
        "Hello",
    ),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("example", "local", "domain", "subject", "body"), EXAMPLES)
async def test_the_pages_examples_can_be_mailed(
    every: Journey, example: str, local: str, domain: str, subject: str, body: str
) -> None:
    """The request is the page's own, octet for octet where the encoding leaves no choice."""
    domain = domain if "." in domain else f"{domain}.example.com"
    replies = await every.mail(mail(subject, body), f"{local}@{domain}")
    assert [250, 250, 250] == [int(reply[:3]) for reply in replies], replies
    await every.pass_time(5)

    (call,) = [each for each in every.sandbox.calls if each.path.endswith("send.php")]
    wanted = dict(parse_qsl(example, keep_blank_values=True))
    wanted["phones"] = wanted["phones"].replace(PHONE, f"+{PHONE}")
    sent = [
        *((name, call.params[name]) for name in ("id", "phones", "mes") if name in call.params),
        *sorted((name, value) for name, value in wanted.items() if name not in ("phones", "mes")),
        *ASKED,
    ]
    assert {name: wanted.get(name) for name in ("phones", "mes")} == {
        name: call.params.get(name) for name in ("phones", "mes")
    }
    assert urlencode(sent).encode() == call.body.split(b"&", len(LOGIN))[-1]
    (message,) = (
        every.sandbox.messages if not wanted["phones"].startswith("g") else every.sandbox.messages[:1]
    )
    assert -1 <= message.at(every.clock.now() / 1000).status


@pytest.mark.asyncio
async def test_a_voice_menu_goes_out_as_it_was_written(every: Journey) -> None:
    """Where the route says `macros: true` the menu reaches the provider, letter for letter."""
    await every.mail(mail("", IVR), f"{PHONE}@menu.example.com")
    await every.pass_time(5)

    (params_,) = every.sends()
    assert IVR == params_["mes"]
    assert ("menu",) == every.sandbox.messages[0].macros


@pytest.mark.asyncio
async def test_a_menu_is_harmless_where_the_route_does_not_trust_its_authors(every: Journey) -> None:
    """The same mail on an ordinary route starts no menu."""
    await every.mail(mail("", IVR), f"{PHONE}@call.example.com")
    await every.pass_time(5)

    assert () == every.sandbox.messages[0].macros


VIBER = [
    ("words", "Hello", [], "Hello", []),
    ("a picture", "", ["a.png"], "<file 1>", ["a.png"]),
    ("words, a picture", "Hello", ["a.png"], "Hello\n<file 1>", ["a.png"]),
    ("a document", "", ["a.pdf"], "<file 1>", ["a.pdf"]),
    ("a picture, a video", "", ["a.png", "b.mp4"], "<file 1>\n<file 2>", ["a.png", "b.mp4"]),
    ("words, a picture, a video", "Hi", ["a.png", "b.mp4"], "Hi\n<file 1>\n<file 2>", ["a.png", "b.mp4"]),
    ("words, a document", "Hello", ["a.pdf"], "Hello", []),
    ("words, a video", "Hello", ["b.mp4"], "Hello", []),
]
KINDS = {
    "png": ("image/png", PNG),
    "pdf": ("application/pdf", b"%PDF-1.4\n" + bytes(200)),
    "mp4": ("video/mp4", MP4),
}


@pytest.mark.asyncio
@pytest.mark.parametrize(("_what", "body", "names", "mes", "kept"), VIBER)
async def test_viber_messages_are_of_the_types_that_viber_knows(
    every: Journey, _what: str, body: str, names: list[str], mes: str, kept: list[str]
) -> None:
    """What can't stand beside the words is left out, and the words still arrive."""
    files = [(name, *KINDS[name[-3:]]) for name in names]
    replies = await every.mail(mail("", body, *files), f"{PHONE}@viber.example.com")
    await every.pass_time(5)

    assert replies[-1].startswith("250")
    (call,) = [each for each in every.sandbox.calls if each.path.endswith("send.php")]
    assert (mes, kept) == (call.params["mes"], [file.name for file in call.files])


REFUSED = [
    ("viber", "", [("b.mp4", *KINDS["mp4"])], "554 5.6.1", "b.mp4"),
    ("viber", "x", [("big.png", "image/png", PNG + bytes(1 << 20))], "552 5.3.4", "big.png"),
    ("button", "{button,ftp://x,Go}", [], "554 5.6.0", "{button,https://example.com,text}"),
    ("button", "{button,https://x.example," + "x" * 31 + "}", [], "554 5.6.0", "30 characters"),
    ("button", "{button,https://x.example,a} {button,https://x.example,b}", [], "554 5.6.0", "one button"),
    ("tg", "Your code is 1234", [], "554 5.6.0", "4 to 8 digits"),
    ("tg", "123", [], "554 5.6.0", "4 to 8 digits"),
    ("tg", "123456789", [], "554 5.6.0", "4 to 8 digits"),
    ("bin", "Hello", [], "554 5.6.0", "hexadecimal"),
    ("bin", "050A03", [], "554 5.6.0", "length of its user data header"),
    ("bin", "00", [], "", ""),
    ("bin", "00FF\n~~~\na remark", [], "554 5.6.0", "pid: 0, dcs: 245"),
    ("bin", "00" * 501, [], "554 5.6.0", "500 octets"),
    ("push", "no link", [], "554 5.6.0", "first line of a WAP push"),
    ("push", "http://x.example/", [], "554 5.6.0", "title"),
    ("menu", IVR.replace("Всего", "Всего " * 200), [], "554 5.6.0", "can't be cut"),
    ("mms", "x", [("a.exe", "application/octet-stream", b"MZ" + bytes(90))], "554 5.6.1", "a.exe"),
    ("call", "x", [("a.png", "image/png", PNG)], "554 5.6.1", "a.png"),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("domain", "body", "files", "status", "says"), REFUSED)
async def test_what_a_channel_cannot_carry_is_refused_with_a_sentence(
    every: Journey, domain: str, body: str, files: list[tuple[str, str, bytes]], status: str, says: str
) -> None:
    """At DATA, naming what is wrong; nothing goes out."""
    replies = await every.mail(mail("", body, *files), f"{PHONE}@{domain}.example.com")

    if not status:
        assert replies[-1].startswith("250")
        return
    assert replies[-1].startswith(status)
    assert says in replies[-1]
    assert [] == await every.orders()


@pytest.mark.asyncio
async def test_a_binary_message_may_be_a_file(every: Journey) -> None:
    """Octets that no text can hold are attached; they go out as digits, with pid and dcs kept."""
    await every.mail(
        mail("", "", ("sms.bin", "application/octet-stream", b"\0\xff\x10")), f"{PHONE}@bin.example.com"
    )
    await every.mail(mail("", "00FF10\n~~~\npid:0,dcs:245"), f"{PHONE}@bin.example.com")
    await every.pass_time(5)

    assert ["00FF10", "00FF10\n~~~\npid: 0, dcs: 245"] == [sent["mes"] for sent in every.sends()]
    assert all(sent["bin"] == "2" for sent in every.sends())


@pytest.mark.asyncio
async def test_a_bots_user_is_reached_by_a_bot_only(every: Journey) -> None:
    """A nick on another channel, by address or by option, is refused at RCPT or DATA by name."""
    by_address = await every.mail(mail("", "x"), "alex_nick@sms.example.com")
    by_option = await every.mail(mail("", "x"), "alex_nick+call@bot.example.com")
    by_header = await every.mail(mail("", "x", X_SMSC_Channel="call"), "alex_nick@bot.example.com")

    assert "550 5.1.1 'alex_nick' is neither an alias here nor a phone number" == by_address[1]
    assert by_option[1].startswith("550 5.1.1")
    assert by_header[2].startswith("550 5.1.3")


@pytest.mark.asyncio
async def test_an_hlr_query_is_answered_by_mail(every: Journey) -> None:
    """Operator, country, roaming and state in words, though nobody asked for good news otherwise."""
    await every.mail(mail("", "x"), "79999999999@hlr.example.com")
    await every.pass_time(120)

    (report,) = every.reports()
    text = report.get_body().get_content()
    assert "Answer about 79999999999@hlr.example.com" == report["Subject"]
    assert "ANSWERED" in text
    for line in ("The number is in service and can be reached.", "Operator: MTS (250 01)", "Country: Russia"):
        assert line in text
    assert "Roaming: no, the phone is at home" in text
    assert "imsi" not in text.lower()
    assert "250011234567890" not in report.as_string()


@pytest.mark.asyncio
async def test_a_ping_is_answered_by_mail(every: Journey) -> None:
    """A phone that is off is an answer too, told in its sentence."""
    await every.mail(mail("", "x"), ["79999999999@ping.example.com", "79999992006@ping.example.com"])
    await every.pass_time(4 * 3600)

    texts = [report.get_body().get_content() for report in every.reports()]
    assert any("The phone is switched on and can be reached." in text for text in texts)
    assert any("The number can't be reached: " in text for text in texts)


@pytest.mark.asyncio
async def test_an_answer_that_notify_declines_is_not_sent(every: Journey) -> None:
    """NOTIFY beats what an HLR query would be told."""
    await every.mail(mail("", "x"), "79999999999@hlr.example.com", rcpt_options=["NOTIFY=NEVER"])
    await every.pass_time(120)

    assert [] == every.reports()


SAME = [
    ("call", "", '"{}+fileurl=https://x.example/a.wav"', '"{}+fileurl=https://x.example/b.wav"'),
    ("viber", "look", '"{}+fileurl=https://x.example/a.png"', '"{}+fileurl=https://x.example/b.png"'),
    ("mms", "", "{}+subj=One", "{}+subj=Two"),
    ("bot", "hi", "{}+bot=one_bot", "{}+bot=two_bot"),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("domain", "body", "one", "two"), SAME)
async def test_what_the_person_is_shown_makes_another_message(
    every: Journey, domain: str, body: str, one: str, two: str
) -> None:
    """Another file, subject or bot within the minute is not the same message."""
    for each in (one, two, one):
        await every.mail(mail("", body), f"{each.format(PHONE)}@{domain}.example.com")
    await every.pass_time(30)

    assert 2 == len(every.sends())
    assert ["delivered", "delivered", "merged"] == [order.state for order in await every.orders()]


@pytest.mark.asyncio
@pytest.mark.parametrize("user", ["alex_nick", "#1122334455"])
@pytest.mark.parametrize("fault", ["reset", "accepted-reset"])
async def test_an_unsure_bots_user_is_never_repeated(every: Journey, user: str, fault: str) -> None:
    """A nick or #id can't be asked about by phone: it is looked for by its id, and else unknown."""
    every.sandbox.next_send_faults.append(fault)
    await every.mail(mail("", "x"), f"{user}@bot.example.com")
    await every.pass_time(6 * 3600)

    assert 1 == len(every.sends())
    asked = {call.path.rpartition("/")[2] for call in every.sandbox.calls}
    assert "status.php" not in asked
    (order,) = await every.orders()
    assert ("delivered" if fault == "accepted-reset" else "unknown") == order.state


@pytest.mark.asyncio
async def test_a_users_id_has_no_members(every: Journey) -> None:
    """Only groups have: the history's line about #id is about the order itself."""
    await every.mail(mail("", "x"), "#1122334455@bot.example.com")
    await every.mail(mail("", "x"), "Alex_Nick@bot.example.com")
    await every.mail(mail("", "x"), "alex_nick@bot.example.com")
    await every.pass_time(3600)

    assert [("#1122334455", "delivered"), ("@alex_nick", "delivered"), ("@alex_nick", "merged")] == [
        (order.target, order.state) for order in await every.orders()
    ]


@pytest.mark.asyncio
async def test_every_answer_about_a_group_or_an_alias_is_told(tmp_path: Path) -> None:
    """Each phone behind the address has its own, and the address none."""
    aliases = {"both": Alias.model_validate({"to": ["+79999999999", "+79999992006"]})}
    config = settings(tmp_path, routes=ROUTES, aliases=aliases)
    async with journey(tmp_path, config=config) as running:
        await running.mail(mail("", "x"), "both@hlr.example.com")
        await running.mail(mail("", "x"), "g777@hlr.example.com")
        await running.pass_time(3600)
        texts = "".join(report.get_body().get_content() for report in running.reports())

    assert 4 == texts.count("The number is in service and can be reached.")
    assert 1 == texts.count("The number can't be reached: ")
    assert "DELIVERED" not in texts


@pytest.mark.parametrize(
    ("told", "lines"),
    [
        ({"mcc": "250"}, ["in service"]),
        ({"net": "MTS", "cn": "Russia"}, ["Operator: MTS", "Country: Russia"]),
        ({"net": "MTS", "rnet": "", "rcn": ""}, ["Operator: MTS", "Roaming: no"]),
        ({"net": "M" * 350, "cn": "C" * 300, "rnet": "T-Mobile", "rcn": "US"}, ["Roaming: T-Mobile, US"]),
        ({"net": "a\r\nBcc: x@y.example", "cn": '"}'}, ["Operator: a Bcc: x@y.example"]),
    ],
)
def test_no_more_is_said_of_a_number_than_was_told(told: dict[str, str], lines: list[str]) -> None:
    """Home is claimed only where the operator said so; nothing hostile becomes a line of its own."""
    outcome = outcomes.looked_up(outcomes.for_status(1), told)
    state, facts = words.answer("en", "hlr", "", fields.clean(outcome.text), good=True)
    said = "\n".join([state, *facts])
    for line in lines:
        assert line in said
    assert ("Roaming" in said) == any(line.startswith("Roaming") for line in lines)


@pytest.mark.asyncio
async def test_a_button_is_never_cut(every: Journey) -> None:
    """Half of one would be shown as it is written."""
    replies = await every.mail(
        mail("", "x " * 480 + "{button,https://x.example/abcdefgh,Open it now}"),
        f"{PHONE}@button.example.com",
    )
    assert replies[-1].startswith("554 5.6.0 a text with a menu or a button can't be cut")


@pytest.mark.asyncio
async def test_forms_fill_the_routes_text_and_are_trimmed(tmp_path: Path) -> None:
    """Templates and trimming count on push, bin and tg as anywhere."""
    ways = (
        route("*@push.example.com", "push", text="http://x.example/{{ subject }}\n{{ body }}"),
        route("*@bin.example.com", "bin", text="00{{ body }}"),
        route("*@tg.example.com", "tg"),
    )
    async with journey(tmp_path, config=settings(tmp_path, routes=ways)) as running:
        await running.mail(mail("42", "Title\n\n-- \nJohn Doe\n"), f"{PHONE}@push.example.com")
        await running.mail(mail("", "4142"), f"{PHONE}@bin.example.com")
        await running.mail(mail("", "4821\n-- \nJohn Doe\n"), f"{PHONE}@tg.example.com")
        await running.pass_time(5)
        assert {"http://x.example/42\nTitle", "004142", "4821"} == {sent["mes"] for sent in running.sends()}


@pytest.mark.asyncio
async def test_authors_reach_no_file_that_is_kept_at_the_provider(every: Journey) -> None:
    """Neither by a parameter nor by a WAP push; what a header sets is made harmless like a text."""
    kept = "https://smsc.ru/upload/files/1.wav"
    by_option = await every.mail(mail("", "x"), f'"{PHONE}+fileurl={kept}"@call.example.com')
    by_push = await every.mail(mail("t", kept), f"{PHONE}@push.example.com")
    await every.mail(mail("", "x", X_SMSC_Subj="__CALL__: pay"), f"{PHONE}@mms.example.com")
    await every.pass_time(5)

    assert by_option[-1].startswith("550 5.5.4 fileurl: ")
    assert by_push[-1].startswith("554 5.6.0 this address")
    assert ["_CALL_: pay"] == [sent["subj"] for sent in every.sends()]


@pytest.mark.asyncio
async def test_a_header_for_the_phone_does_not_bounce_the_mailbox(tmp_path: Path) -> None:
    """What a mailbox's route does not allow is passed over there, with a note."""
    ways = (
        route("*@sms.example.com", "sms", allow=["sender"]),
        route("*", "mail", allow=[]),
    )
    async with journey(tmp_path, config=settings(tmp_path, routes=ways)) as running:
        await running.mail(
            mail("s", "x", X_SMSC_Sender="ALERTS"), [f"{PHONE}@sms.example.com", "bob@x.example"]
        )
        await running.pass_time(5)
        assert {"ALERTS", "ops@mon.example.com"} == {sent["sender"] for sent in running.sends()}
