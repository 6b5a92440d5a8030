"""The example and the page say of every setting what the shape says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import get_args

import pytest

from relay import config
from relay.config import checks, document, page, prepare, setting
from relay.config.routing import ALLOWED, KEPT, PARAMETERS, Channel
from relay.config.shape import Config
from relay.message import channels, params

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "config.example.yaml"
PAGE = ROOT / "docs" / "configuration.md"
SETTINGS = tuple(setting.settings(Config))
IDS = [".".join(one.pattern) for one in SETTINGS]

SAMPLES = {
    ("listeners", "*", "client_ca"),
    # told apart from defaults in the head of the example, or known at run time only
    *(("hostname",), ("reports", "from"), ("reports", "maildir"), ("recognisers",)),
    *(("routes", "*", key) for key in ("match", "channel", "account")),
    # a sample shows more than an empty default
    *(
        ("routes", "*", "escalate", "*"),
        ("reports", "smtp"),
        ("reports", "dkim"),
        ("reports", "smtp", "username"),
    ),
    *(("reports", "dkim", key) for key in ("domain", "selector", "key")),
    *(("routes", "*", "smtp"), ("routes", "*", "smtp", "username"), ("routes", "*", "text")),
    *(("routes", "*", "escalate", "*", key) for key in ("unless", "channel", "to")),
}
SAMPLE_SECTIONS = {"senders", "accounts", "aliases", "caps", "tls"}


def compared(one):
    """Whether the example shows this default as one value: no sample, no section, no secret."""
    return not (
        one.pattern in SAMPLES
        or one.pattern[0] in SAMPLE_SECTIONS
        or one.default is setting.REQUIRED
        or (one.kind == "section" and one.default == {})
        or one.secret
        or one.pattern == ("listeners", setting.EACH)
    )


COMPARED = tuple(one for one in SETTINGS if compared(one))


def switched_on():
    """The example with everything that a # switches off; help has a space after its #."""
    return re.sub(r"^( *)#(?=\S)", r"\1", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE)


FULL = document.parse(switched_on().encode(), EXAMPLE)
HELP = " ".join(
    line.strip(" #") for line in EXAMPLE.read_text("utf-8").splitlines() if re.match(r" *# ", line)
)


def given(one):
    """The values of a setting in the example, under whichever of its keys."""
    pattern = one.pattern[:-1] if one.pattern[-1] == setting.EACH else one.pattern
    for name in prepare.written(one):
        yield from (value for _, value in checks.select(FULL.values, (*pattern[:-1], name)))


def test_the_example_loads_without_a_word():
    """A newcomer's first start has no fault and no warning."""
    assert len(config.load(EXAMPLE).warnings) == 0


def test_the_example_is_the_demo():
    """What the demo builds in code is what the example says in words."""
    assert config.default(ROOT) == config.load(EXAMPLE).config


@pytest.mark.parametrize("one", SETTINGS, ids=IDS)
def test_every_setting_stands_in_the_example(one):
    """Each setting is there, switched on or off."""
    assert list(given(one))


@pytest.mark.parametrize("one", COMPARED, ids=[".".join(one.pattern) for one in COMPARED])
def test_the_example_shows_defaults(one):
    """Each value is the default, samples aside."""
    assert [one.default] == list({str(value): value for value in given(one)}.values())


@pytest.mark.parametrize("one", SETTINGS, ids=IDS)
def test_the_example_helps_with_every_setting(one):
    """The help of each setting stands in a comment."""
    words = one.help.rstrip(".")
    assert words in HELP or words[0].lower() + words[1:] in HELP


def test_what_is_switched_off_is_right_too(tmp_path, monkeypatch):
    """With every # removed only what is not built yet, or excludes another setting, is refused."""
    path = tmp_path / "config.yaml"
    path.write_text(switched_on(), "utf-8")
    for secret in ("psw", "smarthost-password"):
        (tmp_path / secret).write_text("hunter2\n")
    for name in ("SMSC_APIKEY", "SMSC_LOGIN", "SMSC_CALLBACK_SECRET"):
        monkeypatch.setenv(name, "hunter2")
    with pytest.raises(config.ConfigError) as raised:
        config.load(path)
    left = [fault.split(": ", 1)[1] for fault in raised.value.faults if "is not built yet" not in fault]
    assert left == [
        "listeners[0].client_ca: does nothing without tls; write tls: starttls, or remove it",
        "senders[0].users: no listener takes logins; write auth: optional at one",
        "senders[0].users_file: no listener takes logins; write auth: optional at one",
        "routes[0].accounts: stands beside account; keep one of them",
        "reports.maildir: stands beside smtp; keep one of them",
    ]


def test_the_first_real_configuration_loads(tmp_path, monkeypatch):
    """The ten lines on the page are enough for the real provider."""
    path = tmp_path / "config.yaml"
    path.write_text(PAGE.read_text("utf-8").split("```yaml\n")[1].split("```")[0], "utf-8")
    monkeypatch.setenv("SMSC_APIKEY", "hunter2")
    loaded = config.load(path)
    assert len(loaded.warnings) == 0
    assert loaded.config.accounts["main"].url == "https://smsc.ru"


def test_the_page_is_drawn_from_the_shape(capsys):
    """docs/configuration.md ends with what `python -m relay.config` prints."""
    runpy.run_module("relay.config", run_name="__main__")
    assert PAGE.read_text("utf-8").endswith(f"\n{capsys.readouterr().out}")


@pytest.mark.parametrize("one", SETTINGS, ids=IDS)
def test_every_setting_stands_on_the_page(one):
    """Each setting has a row with its default and its help."""
    row = f"| {', '.join(f'`{key}`' for key in prepare.written(one))} | {page.default(one)} | "
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(row)]
    assert any(one.help in line for line in rows)


def test_the_parameters_are_the_ones_that_messages_know():
    """Routes take the parameters that the message room reads, and refuse those that it forbids."""
    assert set(params.NAMES) == set(PARAMETERS)
    assert set(params.FORBIDDEN) - {"bot"} == set(KEPT) - {"sms"}


def test_options_are_the_ones_that_messages_know():
    """`allow` takes the parameters and channels that an address may choose."""
    assert {*params.NAMES, *channels.OPTION_CHANNELS} == set(ALLOWED)


def test_the_channels_of_routes_are_the_ones_that_messages_serve():
    """A route may name every channel of the message room and no other."""
    assert set(channels.CHANNELS) == set(get_args(Channel))


@pytest.mark.parametrize("one", checks.NOT_BUILT, ids=[".".join(one.pattern) for one in checks.NOT_BUILT])
def test_what_is_not_built_is_a_setting(one):
    """No line of NOT_BUILT speaks of a setting that does not exist."""
    assert one.pattern in {each.pattern for each in SETTINGS} | {each.pattern[:-1] for each in SETTINGS}
