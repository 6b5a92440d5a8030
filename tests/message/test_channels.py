"""The table of channels: what each takes, and that the page says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.message import channels, params
from relay.message.channels import CHANNELS, FileRule
from relay.model import File
from relay.replies import Reply

DOC = (Path(__file__).parents[2] / "docs" / "channels.md").read_text(encoding="utf-8")
MB = 1 << 20


def file(name: str = "a.wav", kind: str = "audio/wav", size: int = 1000) -> File:
    """A file as the letter has it, its octets left out."""
    return File(name=name, type=kind, size=size)


def test_the_page_shows_the_tables():
    """docs/channels.md carries the tables as they are generated."""
    assert channels.table() in DOC
    assert channels.examples() in DOC
    assert params.table() in DOC
    assert ", ".join(f"`{name}`" for name in channels.common()) in DOC


def test_every_channel_of_the_vendor_is_there():
    """The vendor's fourteen, and forward."""
    names = "sms flash bin push hlr ping mms mail soc viber whatsapp tg bot call forward"
    assert names.split() == list(CHANNELS)


def test_flags_are_the_vendors():
    """Each channel is its own flag of send.php; SMS has none and a bot has its name."""
    flagged = {name: dict(channel.flags) for name, channel in CHANNELS.items() if channel.flags}
    assert {name: {name: "2" if name == "bin" else "1"} for name in flagged} == flagged
    assert {"sms", "bot", "forward"} == set(CHANNELS) - set(flagged)


def test_parameters_of_channels_are_known():
    """Every parameter belongs to some channel, and what a channel needs it takes."""
    assert params.NAMES == frozenset().union(*(channel.params for channel in CHANNELS.values()))
    assert all(channel.needs <= channel.params for channel in CHANNELS.values())
    assert not params.NAMES & params.FORBIDDEN


def test_options_choose_channels_with_a_phone():
    """An option never turns a phone's message into a mail, nor names a bot."""
    assert set(CHANNELS) - {"mail", "forward", "bot"} == channels.OPTION_CHANNELS


@pytest.mark.parametrize(
    ("channel", "files", "wanted"),
    [
        ("mail", [], None),
        ("mail", [file("a.exe", "application/x-msdownload")], None),
        ("mail", [file(size=10 * MB)] * 20, None),
        ("mail", [file("big.zip", size=10 * MB + 1)], (552, "5.3.4", "big.zip")),
        ("mail", [file()] * 20 + [file("last.txt")], (552, "5.3.4", "last.txt")),
        (
            "call",
            [file(), file("b.MP3", "audio/mpeg"), file("", "audio/wav"), file("msg 0001", "audio/mpeg")],
            None,
        ),
        ("call", [file("Message 5. from home", "audio/wav")], None),
        ("call", [file(size=5 * MB)], None),
        ("call", [file("long.wav", size=6 * MB)], (552, "5.3.4", "long.wav")),
        ("call", [file(f"{n}.wav") for n in range(5)], (552, "5.3.4", "4.wav")),
        ("call", [file("virus.exe")], (554, "5.6.1", "virus.exe")),
        ("call", [file("fake.wav", "application/octet-stream")], (554, "5.6.1", "fake.wav")),
        ("call", [file("wrong.wav", "audio/mpeg")], (554, "5.6.1", "wrong.wav")),
        ("call", [file("", "image/png")], (554, "5.6.1", "without a name")),
        ("call", [file("x" * 150 + ".txt", "text/plain")], (554, "5.6.1", "x" * 99 + "…")),
        ("viber", [file("a.pdf", "application/pdf"), file("b.jpeg", "image/jpeg")], None),
        ("viber", [file("a.pdf", "application/pdf", MB + 1)], (552, "5.3.4", "a.pdf")),
        ("mms", [file("a.mid", "audio/midi"), file("b.gif", "image/gif", 50 * MB)], None),
        ("mms", [file("a.gif", "image/png")], (554, "5.6.1", "a.gif")),
    ],
)
def test_files_are_judged_by_the_channels_rule(channel, files, wanted):
    """Too large, one too many or of another kind: refused by name, else let through."""
    found = CHANNELS[channel].takes_files.check(files)
    if wanted is None:
        assert found is None
    else:
        assert isinstance(found, Reply)
        assert wanted[:2] == (found.code, found.status)
        assert f'"{wanted[2]}"' in found.text


def test_many_files_of_a_mail_travel_as_links():
    """Over 15 MB in all a note says so, below there is none."""
    rule = CHANNELS["mail"].takes_files
    assert "" == rule.note([file(size=5 * MB)] * 3)
    assert "15 MB" in rule.note([file(size=5 * MB)] * 3 + [file(size=1)])
    assert "" == FileRule().note([file(size=100 * MB)])
