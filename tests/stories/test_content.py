"""What a mail holds reaches the provider: texts in every charset, files at their places."""

from __future__ import annotations

import base64
import email.message
import email.policy
import quopri

import pytest
from harness import Journey, settings

TEXT = "Диск 95 %"
BODY = "Место кончается: /var\nпроверьте"
SMS = "79991234567@sms.example.com"
CALL = "79991234567@call.example.com"
MAILBOX = "boss@example.org"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00" + bytes(2000)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
PDF = b"%PDF-1.4\n" + bytes(range(256)) * 8


def word(text: str, charset: str) -> bytes:
    """An encoded word (RFC 2047)."""
    return b"=?" + charset.encode() + b"?B?" + base64.b64encode(text.encode(charset)) + b"?="


def mail(subject: bytes, content_type: bytes, cte: bytes, body: bytes) -> bytes:
    """A mail of one part."""
    return b"\n".join(
        [b"From: ops@mon.example.com", b"Subject: " + subject, b"MIME-Version: 1.0",
         b"Content-Type: " + content_type, b"Content-Transfer-Encoding: " + cte, b"", body]
    )  # fmt: skip


CASES = {
    "utf-8": mail(word(TEXT, "utf-8"), b"text/plain; charset=utf-8", b"8bit", BODY.encode()),
    "windows-1251": mail(
        word(TEXT, "windows-1251"), b"text/plain; charset=windows-1251", b"8bit", BODY.encode("cp1251")
    ),
    "koi8-r": mail(word(TEXT, "koi8-r"), b"text/plain; charset=koi8-r", b"8bit", BODY.encode("koi8-r")),
    "base64": mail(
        word(TEXT, "utf-8"), b"text/plain; charset=utf-8", b"base64", base64.encodebytes(BODY.encode())
    ),
    "quoted-printable": mail(
        word(TEXT, "koi8-r"),
        b"text/plain; charset=koi8-r",
        b"quoted-printable",
        quopri.encodestring(BODY.encode("koi8-r")),
    ),
    "win-1251": mail(TEXT.encode("cp1251"), b"text/plain; charset=win-1251", b"8bit", BODY.encode("cp1251")),
    "no label": mail(TEXT.encode("koi8-r"), b"text/plain", b"8bit", BODY.encode("koi8-r")),
    "a lying label": mail(TEXT.encode(), b"text/plain; charset=us-ascii", b"8bit", BODY.encode()),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("case", CASES)
async def test_the_same_text_whatever_the_charset(relay: Journey, case: str) -> None:
    """Subject and body arrive whole, and `mes` never holds a carriage return."""
    await relay.mail(CASES[case], SMS)
    await relay.pass_time(5)

    (params,) = relay.sends()
    assert f"{TEXT}\n{BODY}" == params["mes"]
    assert "utf-8" == params["charset"]
    assert "\r" not in params["mes"]


@pytest.mark.asyncio
async def test_an_html_mail_keeps_its_images_places(relay: Journey) -> None:
    """Two inline images where they stood, a PDF third; bytes and names unchanged."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["Subject"] = "Ops <ops@mon.example.com>", "Отчёт"
    message.set_content("plain")
    message.add_alternative(
        "<html><body><p>До <img src='cid:one@x'> и <b>после</b> <img src=\"cid:two@x\"></p></body></html>",
        subtype="html",
    )
    html = message.get_payload()[1]
    html.add_related(PNG + b"1", "image", "png", cid="<one@x>", filename="первый.png")
    html.add_related(PNG + b"2", "image", "png", cid="<two@x>", filename="two.png")
    message.add_attachment(PDF, "application", "pdf", filename="Отчёт за ноябрь.pdf")
    await relay.mail(message.as_bytes(), MAILBOX)
    await relay.pass_time(5)

    (call,) = [call for call in relay.sandbox.calls if call.path.endswith("send.php")]
    assert "<p>До <file 1> и <b>после</b> <file 2></p>" in call.params["mes"]
    assert [("первый.png", PNG + b"1"), ("two.png", PNG + b"2"), ("Отчёт за ноябрь.pdf", PDF)] == [
        (file.name, file.data) for file in call.files
    ]
    assert ("1", "Отчёт", "ops@mon.example.com", MAILBOX) == tuple(
        call.params[name] for name in ("mail", "subj", "sender", "phones")
    )
    assert call.params["mes"].endswith("{no_unsub}")


@pytest.mark.asyncio
async def test_a_wav_is_played_where_it_stood(relay: Journey) -> None:
    """`call=1`, the route's voice, the file as a part, `<file 1>` between the texts."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["Subject"] = "ops@mon.example.com", "Alarm"
    message.set_content("listen:")
    message.add_attachment(WAV, "audio", "x-wav", filename="alarm.wav")
    message.attach(text_part("that was it"))
    await relay.mail(message.as_bytes(), CALL)
    await relay.pass_time(5)

    (call,) = [call for call in relay.sandbox.calls if call.path.endswith("send.php")]
    assert ("1", "w2") == (call.params["call"], call.params["voice"])
    assert [("alarm.wav", WAV)] == [(file.name, file.data) for file in call.files]
    lines = [line for line in call.params["mes"].split("\n") if line]
    assert ["Alarm", "listen:", "<file 1>", "that was it"] == lines


def text_part(text: str) -> email.message.EmailMessage:
    """A further text, for after a file."""
    part = email.message.EmailMessage(policy=email.policy.SMTP)
    part.set_content(text)
    return part


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("names", "size", "status"),
    [
        (["big.wav"], 6 * 2**20, "552 5.3.4"),
        (["1.wav", "2.wav", "3.wav", "4.wav", "fifth.wav"], 2000, "552 5.3.4"),
        (["tool.exe"], 2000, "554 5.6.1"),
    ],
)
async def test_files_that_a_call_cannot_take_are_refused_by_name(
    relay: Journey, names: list[str], size: int, status: str
) -> None:
    """Too large, too many, of the wrong kind: DATA says which."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["Subject"] = "ops@mon.example.com", "Alarm"
    message.set_content("listen")
    for name in names:
        data = b"MZ" + bytes(size) if name.endswith("exe") else WAV + bytes(size)
        message.add_attachment(data, "audio", "x-wav", filename=name)
    replies = await relay.mail(message.as_bytes(), CALL)

    assert status == replies[-1][:9]
    assert names[-1] in replies[-1]
    assert [] == await relay.orders()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        "__CALL__: wake up",
        "__call__: wake up",
        "x {menu: 1: sms:79990000000,me,hi\n1: end}",
        "see <file /upload/files/sms/1/a.wav>",
        "__HLR__",
        "{button,https://evil.example,ok}",
        "＿＿CALL＿＿: wake up",
    ],
)
async def test_a_strangers_text_never_becomes_a_command(relay: Journey, body: str) -> None:
    """The provider sees plain, harmless text: no call, no menu, no stored file."""
    await relay.mail(f"From: x@stranger.example\nContent-Type: text/plain; charset=utf-8\n\n{body}\n", SMS)
    await relay.pass_time(5)

    (message,) = relay.sandbox.messages
    assert "sms" == message.kind
    assert () == tuple(name for name in message.macros if name != "comment")


@pytest.mark.asyncio
async def test_a_large_mail_goes_by_way_of_the_worker_process(relay: Journey) -> None:
    """Ten megabytes of attachment to a mail address arrive unchanged; nothing stays in the spool."""
    data = bytes(range(256)) * 4096 * 9
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["Subject"] = "ops@mon.example.com", "Log"
    message.set_content("see the file")
    message.add_attachment(data, "application", "octet-stream", filename="log.bin")
    replies = await relay.mail(message.as_bytes(), MAILBOX)
    await relay.pass_time(5)

    assert "250" == replies[-1][:3]
    (call,) = [call for call in relay.sandbox.calls if call.path.endswith("send.php")]
    assert [("log.bin", len(data))] == [(file.name, len(file.data)) for file in call.files]
    assert data == call.files[0].data
    spooled = list(relay.app.config.spool_path.iterdir())
    assert [] == [path for path in spooled if path.stem != "node"]  # which says who this is to a database


@pytest.mark.asyncio
async def test_the_authors_comment_and_the_routes(tmp_path, clock) -> None:
    """The phone reads up to the mark; the account's owner reads both comments after it."""
    from harness import journey  # noqa: PLC0415

    config = settings(tmp_path)
    route = config.routes[0].model_copy(update={"comment": "{{ from }} {{ message_id }}"})
    config = config.model_copy(update={"routes": (route,)})
    async with journey(tmp_path, clock=clock, config=config) as relay:
        await relay.mail("From: ops@mon.example.com\nMessage-ID: <7@x>\n\nwake up\n~~~\nticket 42\n", SMS)
        await relay.pass_time(5)
        (message,) = relay.sandbox.messages

    assert ("wake up", "ticket 42\nops@mon.example.com <7@x>") == (message.text, message.comment)
