"""The provider's own mail grammar: what real senders write is read, and nothing secret is quoted."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.shape import Account
from relay.message import gateway
from relay.message.gateway import Command, GatewayError, Line

ACCOUNTS = {
    "main": Account.model_validate({"login": "alex", "psw": "PSW"}),
    "key": Account.model_validate({"apikey": "KEY"}),
    "open": Account.model_validate({"url": "sandbox"}),
}


def parsed(text: str) -> Command:
    """A command, its credentials as everywhere."""
    command = gateway.parse(text)
    assert ("alex", "PSW") == (command.login, command.psw)
    return command


@pytest.mark.parametrize(
    ("rest", "ident", "channel", "lines"),
    [
        ("0::0,0,:79999999999:Hello", "", "sms", [(("79999999999",), "Hello", {"translit": "0"})]),
        (
            "0:0101301000:0,1,ivan:79999999999,78888888888:line1: a\nline2\n",
            "",
            "flash",
            [
                (
                    ("79999999999", "78888888888"),
                    "line1: a\nline2",
                    {"time": "0101301000", "translit": "0", "sender": "ivan"},
                )
            ],
        ),
        ("0:0:0,0,:79999999999:m", "", "sms", [(("79999999999",), "m", {"translit": "0"})]),
        ("::1,,,:79999999999:m", "", "sms", [(("79999999999",), "m", {"translit": "1"})]),
        ("77:9-21,3:2:79999999999:m", "77", "sms",
         [(("79999999999",), "m", {"time": "9-21", "tz": "3", "translit": "2"})]),
        ("a.b_c-1::,9:79999999999:m", "a.b_c-1", "call", [(("79999999999",), "m", {})]),
        ("::,12,@my_bot:@alex_nick;#12:m", "", "bot", [(("@alex_nick", "#12"), "m", {"bot": "@my_bot"})]),
        ("::,8,a@b.example:c@d.example:m", "", "mail", [(("c@d.example",), "m", {"sender": "a@b.example"})]),
        ("::,3:79999999999:", "", "hlr", [(("79999999999",), "", {})]),
        ("::,0,.:79999999999:m", "", "sms", [(("79999999999",), "m", {})]),
        (
            "5::::79999999999:Hello\\nworld\n78888888888,77777777777:a:b\n\n",
            "5",
            "sms",
            [(("79999999999",), "Hello\nworld", {}), (("78888888888", "77777777777"), "a:b", {})],
        ),
        (
            ":0101301000:,0,one::two,3|79999999999:a\n|78888888888:b",
            "",
            "sms",
            [
                (("79999999999",), "a", {"time": "0101301000", "sender": "two", "tz": "3"}),
                (("78888888888",), "b", {"time": "0101301000", "sender": "one"}),
            ],
        ),
    ],
)  # fmt: skip
def test_what_real_senders_write_is_read(rest, ident, channel, lines):
    """The official libraries' lines, others' shorter ones, and lists."""
    command = parsed(f"alex:PSW:{rest}")
    assert (ident, channel) == (command.id, command.channel)
    assert [Line(phones=p, mes=m, params=q) for p, m, q in lines] == list(command.lines)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write login:psw:id"),
        ("Hello", "write login:psw:id"),
        ("alex:PSW:0:::79999999999", "write login:psw:id"),
        ("alex:PSW:no blanks:::79999999999:m", "id takes up to 40"),
        ("alex:PSW:0::,99:79999999999:m", "format is a number from 0 to 13"),
        ("alex:PSW:0::,x:79999999999:m", "format is a number"),
        (f"alex:PSW:0::0,{'9' * 5000}:79999999999:m", "format is a number"),
        ("alex:PSW:0::,,,1:79999999999:m", "test: a trial run is not known here"),
        ("alex:PSW:0:tomorrow::79999999999:m", "time: write"),
        ("alex:PSW:0::7:79999999999:m", "translit: write"),
        ("alex:PSW:0::,,ЖЖ:79999999999:m", "sender: write"),
        ("alex:PSW:0::: , :m", "phones: there is nobody"),
        ("alex:PSW:0::::", "the list is empty"),
        ("alex:PSW:0::::79999999999:m\nnothing", "line 2 of the list: write phones:mes"),
        ("alex:PSW:0:::" + ",".join(map(str, range(1001))) + ":m", "one mail takes 1000"),
        ("alex:PSW:0::::" + "\n".join(f"{n}:m" for n in range(1001)), "one mail takes 1000"),
    ],
)
def test_what_is_no_command_is_refused_without_quoting_it(text, says):
    """The sentence names the field; login and password never stand in it."""
    with pytest.raises(GatewayError, match=says) as caught:
        gateway.parse(text)
    assert "alex" not in str(caught.value)
    assert "PSW" not in str(caught.value)


def test_a_mail_that_is_no_plain_text_marks_its_command():
    """Between [text] and [/text], whatever stands around it."""
    command = parsed("Dear server,\n[text]alex:PSW:1:::79999999999:Hello\nworld[/text]\nSent from a mailer")
    assert "Hello\nworld" == command.lines[0].mes


@pytest.mark.parametrize(
    ("login", "psw", "account"),
    [
        ("alex", "PSW", "main"),
        ("", "KEY", "key"),
        ("alex", "psw", ""),
        ("", "", ""),
        ("alex", "KEY", ""),
        ("", "PSW", ""),
    ],
)
def test_the_credentials_choose_the_account(login, psw, account):
    """Login and password, or the key where the login is empty; nothing matches an account that has none."""
    assert account == gateway.parse(f"{login}:{psw}:0:::79999999999:m").account(ACCOUNTS)


def test_a_command_does_not_print_its_credentials():
    """Not even in a traceback."""
    assert "PSW" not in repr(parsed("alex:PSW:0:::79999999999:m"))


@given(st.text())
def test_no_text_whatever_raises_anything_else(text):
    """A command, or a sentence."""
    with contextlib.suppress(GatewayError):
        assert gateway.parse(text).lines
