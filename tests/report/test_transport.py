"""Reports leave through real servers on loopback, and into real folders."""

from __future__ import annotations

import asyncio
import contextlib
import mailbox
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from relay.report import transport
from relay.report.transport import Maildir, Smarthost, Verdict

MAIL = b"Message-ID: <report-1@sms.example.com>\r\nSubject: Not delivered\r\n\r\n.dots\r\nend\r\n"
SILENCE = [b""] * MAIL.count(b"\n")  # of a server that follows a script, while the mail comes
WIDE = "Message-ID: <r@x>\r\nSubject: Диск\r\n\r\n\r\n".encode()


@dataclass
class Handler:
    """What a smarthost took, and what it answers instead where it is told to."""

    taken: list[Envelope] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    mail: str = ""
    rcpt: str = ""
    data: str = ""
    ehlo: list[str] = field(default_factory=list)

    async def handle_EHLO(self, _server, session, _envelope, hostname, responses):  # noqa: N802
        """Offer what this server is told to offer."""
        session.host_name = hostname
        return [*responses[:-1], *(f"250-{each}" for each in self.ehlo), responses[-1]]

    async def handle_MAIL(self, _server, _session, envelope, address, options):  # noqa: N802
        """Take the sender, or answer as told."""
        envelope.mail_from, envelope.mail_options = address, options
        return self.mail or "250 OK"

    async def handle_RCPT(self, _server, _session, envelope, address, options):  # noqa: N802
        """Take the recipient, or answer as told."""
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return self.rcpt or "250 OK"

    async def handle_DATA(self, _server, session, envelope):  # noqa: N802
        """Take the mail, or answer as told."""
        self.taken.append(envelope)
        self.sessions.append(session)
        return self.data or "250 2.0.0 kept as 17"


class Dsn(SMTP):
    """aiosmtpd knows no DSN: this one puts the parameters of RCPT aside."""

    async def smtp_RCPT(self, arg: str) -> None:  # noqa: N802
        """Cut what follows the address, and remember it."""
        address, _, options = arg.partition("> ")
        self.envelope.rcpt_options.append(options)
        await super().smtp_RCPT(f"{address}>" if options else arg)


@contextlib.asynccontextmanager
async def smarthost(handler: Handler, server: type[SMTP] = SMTP, **options: object) -> AsyncIterator[int]:
    """A mail server on a free port of loopback."""
    implicit = options.pop("implicit", None)
    loop = asyncio.get_running_loop()
    options.setdefault("enable_SMTPUTF8", True)
    listening = await loop.create_server(
        lambda: server(handler, loop=loop, hostname="mx.example.com", **options), "127.0.0.1", 0, ssl=implicit
    )
    async with listening:
        yield listening.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def script(
    play: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A server that follows a script of its own, for manners that no real one has."""
    talks = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await play(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]
        await asyncio.gather(*talks)


def lines(*answers: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A script: the greeting, then an answer to each line that comes."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, answer in enumerate(answers):
            if number:
                await reader.readuntil(b"\n")
            writer.write(answer)

    return play


async def deliver(port: int, mail: bytes = MAIL, **changes: object) -> transport.Delivery:
    """Hand the usual report to a server on loopback."""
    names = ("tls", "username", "password", "ca", "timeout", "host")
    where = {
        "host": "127.0.0.1",
        "timeout": 5,
        **{name: changes.pop(name) for name in names if name in changes},
    }
    told = {"recipient": "nagios@example.com", "hostname": "sms.example.com", **changes}
    return await transport.deliver(Smarthost(port=port, **where), mail=mail, **told)


# -- a smarthost that does its work -------------------------------------------------------


@pytest.mark.asyncio
async def test_a_report_is_handed_over():
    """The null sender, the recipient and every octet arrive, and the answer is told."""
    handler = Handler()
    async with smarthost(handler) as port:
        delivery = await deliver(port)
    envelope = handler.taken[0]
    assert transport.Delivery(verdict=Verdict.DONE, text="250 2.0.0 kept as 17") == delivery
    assert (envelope.mail_from, envelope.rcpt_tos) == ("<>", ["nagios@example.com"])
    assert envelope.content == MAIL
    assert handler.sessions[0].host_name == "sms.example.com"
    assert [f"SIZE={len(MAIL)}"] == envelope.mail_options


@pytest.mark.asyncio
async def test_no_report_about_a_report_is_asked_for():
    """Where DSN is offered NOTIFY=NEVER goes with the recipient, elsewhere nothing."""
    handler = Handler(ehlo=["DSN"])
    async with smarthost(handler, Dsn) as port:
        await deliver(port)
        handler.ehlo = []
        await deliver(port)
    assert [envelope.rcpt_options for envelope in handler.taken] == [["NOTIFY=NEVER"], [""]]


@pytest.mark.asyncio
async def test_a_sender_of_its_own():
    """A mail that is no bounce has a sender; without size limit no SIZE is said."""
    handler = Handler()
    async with smarthost(handler, data_size_limit=0) as port:
        delivery = await deliver(port, sender="relay@sms.example.com")
    assert delivery.verdict == Verdict.DONE
    assert handler.taken[0].mail_from == "relay@sms.example.com"


@pytest.mark.asyncio
async def test_an_odd_hostname_is_no_trouble():
    """A name that EHLO can't carry has a stand-in."""
    handler = Handler()
    async with smarthost(handler) as port:
        assert (await deliver(port, hostname="\r\n")).verdict == Verdict.DONE
    assert handler.sessions[0].host_name == "localhost"


@pytest.mark.asyncio
async def test_a_server_that_knows_helo_only():
    """A refusal of EHLO is followed by HELO."""
    answers = [b"220 hi\r\n", b"502 no\r\n", b"250 hi\r\n", b"250 ok\r\n", b"251 ok\r\n", b"354 go\r\n"]
    async with script(lines(*answers, *SILENCE, b"250 taken\r\n")) as port:
        delivery = await deliver(port)
    assert transport.Delivery(verdict=Verdict.DONE, text="250 taken") == delivery


# -- SMTPUTF8 and eight bits --------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_report_in_utf8():
    """SMTPUTF8 and 8BITMIME are asked for where they are needed and offered."""
    handler = Handler()
    async with smarthost(handler) as port:
        delivery = await deliver(port, WIDE, recipient="ольга@пример.рф", utf8=True, narrow=b"narrow\r\n")
    envelope = handler.taken[0]
    assert delivery.verdict == Verdict.DONE
    assert (envelope.rcpt_tos, envelope.content) == (["ольга@пример.рф"], WIDE)
    assert ["SMTPUTF8", "BODY=8BITMIME", f"SIZE={len(WIDE)}"] == envelope.mail_options


@pytest.mark.asyncio
async def test_a_smarthost_without_smtputf8_gets_the_narrow_form():
    """What it can't take is sent in the other form instead."""
    handler = Handler()
    async with smarthost(handler, enable_SMTPUTF8=False) as port:
        delivery = await deliver(port, WIDE, utf8=True, narrow=MAIL)
    assert delivery.verdict == Verdict.DONE
    assert handler.taken[0].content == MAIL


@pytest.mark.asyncio
async def test_what_needs_no_utf8_asks_for_none():
    """A plain mail to a plain address goes anywhere, whatever the original used."""
    handler = Handler()
    async with smarthost(handler, enable_SMTPUTF8=False) as port:
        assert (await deliver(port, utf8=True)).verdict == Verdict.DONE


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("recipient", "narrow"),
    [("nagios@example.com", b""), ("ольга@example.com", MAIL)],
    ids=["mail", "address"],
)
async def test_what_a_smarthost_can_never_take(recipient, narrow):
    """Without a form that fits the report is refused, and nothing is sent."""
    handler = Handler()
    async with smarthost(handler, enable_SMTPUTF8=False) as port:
        delivery = await deliver(port, WIDE, recipient=recipient, utf8=True, narrow=narrow)
    assert delivery.verdict == Verdict.REFUSED
    assert "SMTPUTF8" in delivery.text
    assert handler.taken == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "changes",
    [{"recipient": ""}, {"recipient": "a@b> SIZE=1"}, {"recipient": "a@b\r\nDATA"}, {"sender": "no address"}],
)
async def test_what_is_no_address_is_never_sent(changes):
    """Nothing that could be more than an address reaches the wire."""
    handler = Handler()
    async with smarthost(handler) as port:
        delivery = await deliver(port, **changes)
    assert delivery.verdict == Verdict.REFUSED
    assert handler.taken == []


@pytest.mark.asyncio
async def test_an_address_is_not_rewritten():
    """A quoted address goes out as it is."""
    sent = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        while not (line := await reader.readuntil(b"\n")).startswith(b"RCPT"):
            writer.write(b"250 ok\r\n")
        sent.append(line)
        writer.write(b"550 no\r\n")

    async with script(play) as port:
        await deliver(port, recipient='"a (b) c"@x.example')
    assert sent == [b'RCPT TO:<"a (b) c"@x.example>\r\n']


# -- a smarthost that says no -------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("at", ["mail", "rcpt", "data"])
@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("450 4.2.1 not now", Verdict.LATER),
        ("421 4.3.2 going down", Verdict.LATER),
        ("550 5.1.1 nobody of this name", Verdict.REFUSED),
        ("530 5.7.0 log in first", Verdict.LATER),
    ],
)
async def test_refusals(at, answer, verdict):
    """4xx is tried again, 5xx is not, but for a 530 that an operator can cure; the words are told."""
    handler = Handler(**{at: answer})
    async with smarthost(handler) as port:
        assert transport.Delivery(verdict=verdict, text=answer) == await deliver(port)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "answers",
    [
        [b"554 not you\r\n"],
        [b"220 hi\r\n", b"421 busy\r\n"],
        [b"220 hi\r\n", b"550 no\r\n", b"550 no\r\n"],
        [b"garbage\r\n"],
        [b"220 " + b"x" * 40_000 + b"\r\n"],
        [b"220 hi\r\n", b"250 hi\r\n", b"nonsense\r\n"],
        [b"220 hi\r\n", b"250 hi\r\n"],
        [b""],
    ],
    ids=["greeting", "421", "helo", "garbage", "endless", "nonsense", "closed", "mute"],
)
async def test_a_server_out_of_order(answers):
    """Whatever goes wrong around the transaction is tried again, and never raised."""
    async with script(lines(*answers)) as port:
        delivery = await deliver(port)
    assert delivery.verdict == Verdict.LATER
    assert 0 < len(delivery.text) <= 400


@pytest.mark.asyncio
async def test_nobody_listens():
    """A refused connection is tried again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert (await deliver(port)).verdict == Verdict.LATER


@pytest.mark.asyncio
@pytest.mark.parametrize("host", ["nobody.invalid", "x" * 300, ""])
async def test_a_host_that_is_none(host):
    """A name that can't be resolved is tried again."""
    assert (await deliver(1, host=host, timeout=5)).verdict == Verdict.LATER


@pytest.mark.asyncio
@pytest.mark.parametrize("answers", [[], [b"220 hi\r\n"], [b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n"]])
async def test_a_server_that_hangs(answers):
    """Silence at any step ends with the timeout."""
    over = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await lines(*answers)(reader, writer)
        await over.wait()

    async with script(play) as port:
        delivery = await deliver(port, timeout=0.05)
        over.set()
    assert delivery.verdict == Verdict.LATER
    assert "imed out" in delivery.text


@pytest.mark.asyncio
async def test_a_server_that_breaks_off_after_the_last_octet():
    """Nobody knows whether it was taken: it goes again."""
    answers = [b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"]
    async with script(lines(*answers, *SILENCE, b"")) as port:
        assert (await deliver(port)).verdict == Verdict.LATER


@pytest.mark.asyncio
@pytest.mark.parametrize("farewell", [b"500 no\r\n", b""])
async def test_what_was_taken_stays_taken(farewell):
    """After the 250 nothing changes the verdict: no bad QUIT, no lost connection."""
    answers = [b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"]
    async with script(lines(*answers, *SILENCE, b"250 taken\r\n", farewell)) as port:
        assert transport.Delivery(verdict=Verdict.DONE, text="250 taken") == await deliver(port)


# -- TLS and AUTH -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    """An authority that nobody knows."""
    return trustme.CA()


@pytest.fixture
def ca(authority, tmp_path):
    """Its certificate in a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def context(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    """The server's side of TLS, with a certificate for this name."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(made)
    return made


def authenticate(server, session, envelope, mechanism, secret):
    """The one login that is good."""
    good = isinstance(secret, LoginPassword) and secret == LoginPassword(b"relay", b"s3cret")
    return AuthResult(success=good, handled=good)


@pytest.mark.asyncio
async def test_starttls_and_login(authority, ca):
    """The login happens inside TLS, and EHLO is said again."""
    handler = Handler()
    options = {"tls_context": context(authority), "authenticator": authenticate, "auth_required": True}
    async with smarthost(handler, **options) as port:
        delivery = await deliver(port, tls="starttls", ca=ca, username="relay", password="s3cret")
    assert delivery.verdict == Verdict.DONE
    assert handler.sessions[0].ssl is not None
    assert handler.sessions[0].authenticated is True


@pytest.mark.asyncio
async def test_implicit_tls(authority, ca):
    """TLS from the first octet."""
    handler = Handler()
    async with smarthost(handler, implicit=context(authority)) as port:
        assert (await deliver(port, tls="implicit", ca=ca)).verdict == Verdict.DONE


@pytest.mark.asyncio
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("fault", ["unknown authority", "other name"])
async def test_a_certificate_that_proves_nothing(authority, ca, tls, fault):
    """Nothing is sent to a server that can't prove its name; it may be cured, so try again."""
    handler = Handler()
    made = context(authority, "127.0.0.1" if fault == "unknown authority" else "other.example")
    options = {"tls_context": made} if tls == "starttls" else {"implicit": made}
    async with smarthost(handler, **options) as port:
        delivery = await deliver(port, tls=tls, ca="" if fault == "unknown authority" else ca)
    assert delivery.verdict == Verdict.LATER
    assert "certificate" in delivery.text.lower()
    assert handler.taken == []


@pytest.mark.asyncio
async def test_starttls_is_not_waived():
    """A server that offers no STARTTLS gets no report in the clear."""
    handler = Handler()
    async with smarthost(handler) as port:
        delivery = await deliver(port, tls="starttls")
    assert delivery.verdict == Verdict.LATER
    assert "STARTTLS" in delivery.text
    assert handler.taken == []


@pytest.mark.asyncio
async def test_an_authority_file_that_is_not_there():
    """A wrong path in the configuration is tried again, not raised."""
    async with smarthost(Handler()) as port:
        assert (await deliver(port, tls="implicit", ca="/nowhere/ca.pem")).verdict == Verdict.LATER


@pytest.mark.asyncio
async def test_a_wrong_password(authority, ca):
    """It is cured by the operator, so the report waits; the password is told to nobody."""
    handler = Handler()
    options = {"tls_context": context(authority), "authenticator": authenticate}
    async with smarthost(handler, **options) as port:
        delivery = await deliver(port, tls="starttls", ca=ca, username="relay", password="wrong-one")
    assert delivery.verdict == Verdict.LATER
    assert delivery.text.startswith("535 ")
    assert handler.taken == []


@pytest.mark.asyncio
async def test_an_echoed_password_is_masked():
    """A server that repeats the password in its answer does not get it into a log."""
    answers = [b"220 hi\r\n", b"250-hi\r\n250 AUTH PLAIN\r\n", b"535 s3cret is wrong\r\n", b"221 bye\r\n"]
    async with script(lines(*answers)) as port:
        delivery = await deliver(port, username="relay", password="s3cret")
    assert transport.Delivery(verdict=Verdict.LATER, text="535 *** is wrong") == delivery


def test_a_password_is_not_shown():
    """Printing the smarthost does not print its password."""
    assert "s3cret" not in repr(Smarthost(host="mx", username="relay", password="s3cret"))


# -- a maildir ----------------------------------------------------------------------------


async def file(path, mail: bytes = MAIL, **changes: object) -> transport.Delivery:
    """File the usual report."""
    told = {"recipient": "nagios@example.com", "hostname": "sms.example.com", **changes}
    return await transport.deliver(Maildir(path=str(path)), mail=mail, **told)


@pytest.mark.asyncio
async def test_a_report_is_filed(tmp_path):
    """A mail reader finds it in a maildir that did not exist before, with its return path."""
    delivery = await file(tmp_path / "reports" / "box")
    assert delivery.verdict == Verdict.DONE
    box = mailbox.Maildir(tmp_path / "reports" / "box", create=False)
    (mail,) = box
    assert (mail["Return-Path"], mail["Subject"]) == ("<>", "Not delivered")
    assert mail.get_payload() == ".dots\nend\n"
    (path,) = (tmp_path / "reports" / "box" / "new").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "reports" / "box" / "tmp").iterdir()) == []


@pytest.mark.asyncio
async def test_a_report_is_filed_once(tmp_path):
    """What is repeated after a crash makes no second file, even when the first was read since."""
    first = await file(tmp_path)
    assert first == await file(tmp_path)
    (path,) = (tmp_path / "new").iterdir()
    path.rename(tmp_path / "cur" / f"{path.name}:2,S")
    await file(tmp_path, sender="relay@sms.example.com")
    assert list((tmp_path / "new").iterdir()) == []
    assert len(list((tmp_path / "cur").iterdir())) == 1


@pytest.mark.asyncio
async def test_different_reports_are_different_files(tmp_path):
    """The Message-ID decides; where there is none, the octets do."""
    for mail in (MAIL, MAIL.replace(b"report-1", b"report-2"), b"Subject: a\r\n\r\n", b"Subject: b\r\n\r\n"):
        assert (await file(tmp_path, mail)).verdict == Verdict.DONE
    assert len(list((tmp_path / "new").iterdir())) == 4


@pytest.mark.asyncio
async def test_what_a_crash_left_half_written_is_replaced(tmp_path):
    """A longer leftover in tmp does not shine through."""
    await file(tmp_path)
    (path,) = (tmp_path / "new").iterdir()
    whole = path.read_bytes()
    path.unlink()
    (tmp_path / "tmp" / path.name).write_bytes(b"x" * 10_000)
    await file(tmp_path)
    assert whole == path.read_bytes()


@pytest.mark.asyncio
async def test_a_hostname_can_not_leave_the_folder(tmp_path):
    """No name makes a path, nor the flags of a mail reader."""
    assert (await file(tmp_path, hostname="../../x:2,S")).verdict == Verdict.DONE
    (path,) = (tmp_path / "new").iterdir()
    assert path.name.endswith(".....x_2S")
    assert (await file(tmp_path, hostname="я" * 300)).verdict == Verdict.DONE
    assert any(each.name.endswith(".localhost") for each in (tmp_path / "new").iterdir())


@pytest.mark.asyncio
async def test_a_folder_that_can_not_be_made(tmp_path):
    """Trouble of the disk is tried again, without its path."""
    (tmp_path / "box").write_text("a file")
    delivery = await file(tmp_path / "box")
    assert delivery.verdict == Verdict.LATER
    assert str(tmp_path) not in delivery.text
    assert f"maildir: {os.strerror(17)}" == delivery.text
