"""The configuration: what is found, how values are read, what is filled in, what is warned of."""

from __future__ import annotations

import re
import socket
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from relay import config
from relay.config import document, page, setting, shape, units

LEAST = """
senders: [{name: local, networks: [127.0.0.0/8]}]
accounts: {main: {url: sandbox}}
routes: [{match: "*@sms.example.com", channel: sms}]
"""
EXAMPLE = (Path(__file__).parent.parent.parent / "config.example.yaml").read_text("utf-8")


@pytest.fixture
def load(tmp_path):
    """Loads a text as a file in a folder of its own."""

    def load(text):
        path = tmp_path / "config.yaml"
        path.write_text(text, "utf-8")
        return config.load(path)

    return load


def with_route(route):
    """The least configuration with this as its route."""
    return LEAST.replace('{match: "*@sms.example.com", channel: sms}', route)


# -- finding it -----------------------------------------------------------------------------


def test_the_file_asked_for_is_used(monkeypatch):
    """-c goes before the environment."""
    monkeypatch.setenv("SMSC_RELAY_CONFIG", "other.yaml")
    assert config.find("this.yaml") == Path("this.yaml")


def test_the_environment_names_the_file(monkeypatch):
    """Without -c it is $SMSC_RELAY_CONFIG."""
    monkeypatch.setenv("SMSC_RELAY_CONFIG", "other.yaml")
    assert config.find(None) == Path("other.yaml")


def test_the_folder_has_the_file(monkeypatch, tmp_path):
    """Without either it is the one that lies here."""
    monkeypatch.setenv("SMSC_RELAY_CONFIG", "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(LEAST)
    assert config.find() == Path("config.yaml")


def test_no_file_anywhere_is_said(monkeypatch, tmp_path):
    """Where there is none the sentence says what to do."""
    monkeypatch.delenv("SMSC_RELAY_CONFIG", raising=False)
    monkeypatch.setattr(config, "PLACES", (tmp_path / "a.yaml", tmp_path / "b.yaml"))
    with pytest.raises(config.ConfigError) as raised:
        config.find()
    assert str(raised.value) == (
        f"no configuration: none at {tmp_path}/a.yaml nor at {tmp_path}/b.yaml; "
        "give one with -c FILE or $SMSC_RELAY_CONFIG"
    )


def test_a_missing_file_is_a_fault(tmp_path):
    """A file that cannot be read is named."""
    with pytest.raises(config.ConfigError) as raised:
        config.load(tmp_path / "none.yaml")
    assert str(raised.value) == (
        f"{tmp_path}/none.yaml:1:1: the file cannot be read: No such file or directory"
    )


def test_a_huge_file_is_a_fault(tmp_path):
    """A file of more than 16 MB is no configuration."""
    path = tmp_path / "config.yaml"
    with path.open("wb") as file:
        file.truncate(document.LARGEST_FILE + 1)
    with pytest.raises(config.ConfigError) as raised:
        config.load(path)
    assert str(raised.value) == f"{path}:1:1: the file is larger than 16 MB"


# -- how YAML is read -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("+79991234567", "+79991234567"),
        ("79991234567", 79991234567),
        ("0123", "0123"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1e3", "1e3"),
        ("0.1", "0.1"),
        ("-0", "-0"),
        ("-5", -5),
        ("9" * 30, "9" * 30),
        ("22-7", "22-7"),
        ("12:30:45", "12:30:45"),
        ("2026-01-01", "2026-01-01"),
        ("no", "no"),
        ("On", "On"),
        ("true", True),
        ("False", False),
        ('"true"', "true"),
        ('"5"', "5"),
        ('""', ""),
        ("none", "none"),
        ("&a text", "text"),
    ],
)
def test_only_plain_numbers_and_booleans_are_more_than_text(written, read):
    """Whatever older YAML makes of such text, here it stays."""
    found = document.parse(f"key: {written}\n".encode(), Path("c")).values["key"]
    assert (type(found), found) == (type(read), read)


def test_a_byte_order_mark_is_passed_over():
    """Files saved by Windows editors are read."""
    assert document.parse(b"\xef\xbb\xbfa: 1\r\n", Path("c")).values == {"a": 1}


def test_a_spoiled_file_with_a_byte_order_mark_is_placed():
    """The mark does not shift the place of what is not UTF-8."""
    with pytest.raises(config.ConfigError) as raised:
        document.parse("\ufeffа: б\nв: ".encode() + b"\xff", Path("c"))
    assert str(raised.value) == "c:2:4: this is not UTF-8; save the file in that encoding"


def test_aliases_unfold():
    """An anchor's value stands wherever it is called, with a place of its own key."""
    found = document.parse(b"a: &x [1, {b: 2}]\nc: *x\n", Path("c"))
    assert found.values == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}
    assert found.place(("c",)) == (2, 1)


def test_nothing_is_at_a_place_that_is_none():
    """Looking for what does not stand there finds None, and the nearest place."""
    found = document.parse(b"a: [1]\n", Path("c"))
    assert found.value(("a", 0)) == 1
    assert found.value(("a", "b")) is None
    assert found.place(("a", 7, "b")) == (1, 1)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.text("ab:-[]{}&*!,#\"'\n\t |>%@`?<", max_size=80).map(str.encode))
def test_no_file_makes_the_reader_fall(octets):
    """Any octets are either values or a ConfigError."""
    faults = ()
    try:
        document.parse(octets, Path("c"))
    except config.ConfigError as error:
        faults = error.faults
    assert [fault for fault in faults if not re.match(r"c:\d+:\d+: ", fault)] == []


@settings(max_examples=60, deadline=None)
@given(
    at=st.integers(0, len(EXAMPLE)),
    length=st.integers(0, 60),
    put=st.sampled_from(["", "[", ": ", "\t", '"', "- "]),
)
def test_a_spoiled_example_is_refused_in_words(tmp_path_factory, at, length, put):
    """Whatever is cut out or put in, the answer is a configuration or faults, and never the secret."""
    text = EXAMPLE.replace("url: sandbox", "apikey: hunter2") if at % 2 else EXAMPLE
    path = tmp_path_factory.getbasetemp() / "spoiled.yaml"
    path.write_text(text[:at] + put + text[at + length :], "utf-8")
    try:
        said = repr(config.load(path))
    except config.ConfigError as error:
        said = str(error)
    assert "hunter2" not in said


# -- how values are written -----------------------------------------------------------------


@given(st.integers(0, 86400), st.sampled_from(sorted(units._TIMES.items())))
def test_times_have_units(number, unit):
    """A length of time is its number times its unit, up to ten years."""
    name, factor = unit
    if number * factor <= 3650 * 86_400_000:
        assert units.duration(f"{number}{name}") == number * factor


@given(st.integers(1, 999), st.sampled_from([("kB", 1024), ("MB", 1 << 20), ("mb", 1 << 20)]))
def test_sizes_have_units(number, unit):
    """A size is its number times a power of 1024."""
    assert units.size(f"{number}{unit[0]}") == number * unit[1]


def test_values_that_are_read_already_stay():
    """What is built in code may hold networks and paths as such."""
    net = ip_network("10.0.0.0/8")
    sender = config.Sender(name="a", networks=(net,), from_=("*@example.com",), users_file=Path("x"))
    assert (sender.networks, sender.from_, sender.users_file) == ((net,), ("*@example.com",), Path("x"))


def test_numbers_are_text_where_text_is_wanted(load):
    """Phones, passwords and regions need no quotes."""
    found = load(
        with_route("{match: '*', channel: sms, comment: 5, sender: 79991234567, tz: -1, period: 0.1}")
        + "aliases: {7: [79991234567, g777]}\n"
    ).config
    assert found.routes[0].comment == "5"
    assert found.routes[0].params == {"sender": "79991234567", "tz": "-1", "period": "0.1"}
    assert found.aliases["7"].to == ("79991234567", "g777")


def test_a_listener_tells_host_port_and_socket(load, tmp_path):
    """The three kinds of address come apart."""
    found = load(
        LEAST + 'listeners: [{address: "127.0.0.1:0"}, {address: "[::1]:25"}, {address: "unix:in.sock"}]\n'
    )
    assert [(each.host, each.port, each.socket) for each in found.config.listeners] == [
        ("127.0.0.1", 0, ""),
        ("::1", 25, ""),
        ("", 0, f"{tmp_path}/in.sock"),
    ]


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("sandbox", "sandbox"),
        ("https://smsc.ru/", "https://smsc.ru"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_the_provider_is_scheme_and_host(load, url, kept):
    """A closing slash goes, a port stays."""
    found = load(LEAST.replace("url: sandbox", f'apikey: k, url: "{url}"'))
    assert found.config.accounts["main"].url == kept


def test_paths_begin_at_the_file(load, tmp_path, monkeypatch):
    """Wherever the program was started, relative paths are the configuration's."""
    monkeypatch.chdir("/")
    found = load(LEAST + "reports: {maildir: box}\nweb: {socket: /run/relay.sock}\n").config
    assert found.reports.maildir == tmp_path / "box"
    assert found.web.socket == Path("/run/relay.sock")
    assert found.store == f"sqlite:///{tmp_path}/relay.db"
    assert found.store_path == tmp_path / "relay.db"


# -- what is filled in ----------------------------------------------------------------------


def test_this_host_gives_its_name(load, monkeypatch):
    """Without a hostname it is this host's, and reports come from there."""
    monkeypatch.setattr(socket, "getfqdn", lambda: "relay.example.org")
    found = load(LEAST).config
    assert found.hostname == "relay.example.org"
    assert found.reports.from_ == "SMS relay <postmaster@relay.example.org>"


@pytest.mark.parametrize(
    ("full", "short", "used"),
    [("1.0.0.127.in-addr.arpa", "box", "box"), ("kiste_ü", "büchse", "localhost"), ("", "box", "box")],
)
def test_a_name_that_is_none_is_not_used(monkeypatch, full, short, used):
    """A host that does not know itself says the next best."""
    monkeypatch.setattr(socket, "getfqdn", lambda: full)
    monkeypatch.setattr(socket, "gethostname", lambda: short)
    assert shape.own_name() == used


def test_reports_go_to_this_host_unless_told(load):
    """The default way is port 25 here; a maildir takes its place."""
    smtp = load(LEAST).config.reports.smtp
    assert (smtp.host, smtp.port, smtp.tls) == ("127.0.0.1", 25, "starttls")
    assert load(LEAST + "reports: {maildir: box}").config.reports.smtp is None


def test_a_hostname_given_names_the_reports(load):
    """The From of reports follows hostname, and gives way to one given."""
    assert (
        load(LEAST + "hostname: sms.example.com").config.reports.from_
        == "SMS relay <postmaster@sms.example.com>"
    )
    assert load(LEAST + "reports: {from: a@example.com}").config.reports.from_ == "a@example.com"


def test_the_only_account_serves_all_routes(load):
    """A route need not name what there is but one of."""
    route = load(LEAST).config.routes[0]
    assert (route.account, route.accounts) == ("main", ("main",))


def test_account_is_the_first_of_accounts(load):
    """A route with several has them all, and the first in `account`."""
    text = LEAST.replace("{main:", "{spare: {url: sandbox}, main:").replace(
        "channel: sms", "channel: sms, accounts: [main, spare]"
    )
    route = load(text).config.routes[0]
    assert (route.account, route.accounts) == ("main", ("main", "spare"))


def test_a_forward_route_needs_no_account(load):
    """What goes to a smarthost goes past the provider."""
    route = load(with_route("{match: '*', channel: forward, smtp: {host: mail.example.com}}")).config.routes[
        0
    ]
    assert (route.account, route.accounts, route.smtp.host) == ("", (), "mail.example.com")


def test_defaults_are_the_documented_ones(load):
    """Times are milliseconds, sizes octets."""
    found = load(LEAST).config
    assert found.listeners[0].max_size == 40 << 20
    assert found.delivery.retry == (10_000, 60_000, 300_000, 900_000, 3_600_000)
    assert found.reports.delay == 15 * 60_000
    assert found.web.listen == "127.0.0.1:8025"
    assert found.routes[0].text is None


def test_a_configuration_cannot_be_changed(load):
    """Rooms may keep what they were given."""
    with pytest.raises(ValidationError):
        load(LEAST).config.workers = 2


def test_what_does_not_fit_is_refused_in_code_too():
    """The shape alone knows no extra keys, and no mapping where a part belongs."""
    with pytest.raises(ValidationError):
        config.Config.model_validate({"frob": 1})
    with pytest.raises(ValidationError):
        config.Config.model_validate(5)


# -- secrets --------------------------------------------------------------------------------


def secret_of(loaded):
    """The API key of the account main."""
    return loaded.config.accounts["main"].apikey.get_secret_value()


def test_a_secret_comes_from_a_file(load, tmp_path):
    """The name is relative to the configuration, the closing line end goes."""
    (tmp_path / "key").write_text("hunter2\r\n")
    assert secret_of(load(LEAST.replace("url: sandbox", "apikey_file: key"))) == "hunter2"


def test_a_secret_comes_from_the_environment(load, monkeypatch):
    """The variable's value is taken as it is."""
    monkeypatch.setenv("TEST_APIKEY", "hunter2")
    assert secret_of(load(LEAST.replace("url: sandbox", "apikey_env: TEST_APIKEY"))) == "hunter2"


def test_systemd_hands_over_credentials(load, monkeypatch, tmp_path):
    """A name without a slash is looked for among the credentials first."""
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "key").write_text("hunter2\n")
    (tmp_path / "key").write_text("other\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert secret_of(load(LEAST.replace("url: sandbox", "apikey_file: key"))) == "hunter2"
    assert secret_of(load(LEAST.replace("url: sandbox", "apikey_file: ./key"))) == "other"


@pytest.mark.parametrize("held", [b"", b"\n", b"\xff\xfe", b"two\nlines", b"x" * 70_000])
def test_a_file_that_holds_no_secret_is_a_fault(load, tmp_path, held):
    """Empty, binary, long or many lines: each is refused at the key that named it."""
    (tmp_path / "key").write_bytes(held)
    with pytest.raises(config.ConfigError) as raised:
        load(LEAST.replace("url: sandbox", "apikey_file: key"))
    assert [fault.split(": ")[0].split(":", 1)[1] for fault in raised.value.faults] == ["3:19"]


def test_secrets_are_not_printed(load):
    """A configuration can be logged by mistake."""
    text = LEAST.replace("url: sandbox", "login: hunter2, psw: hunter2")
    found = load(
        text + "reports: {smtp: {username: me, password: hunter2}}\nweb: {callback_secret: hunter2}\n"
    )
    assert "hunter2" not in f"{found!r} {found.config} {found.config.model_dump()} {found.warnings}"


# -- warnings, and what other rooms say -----------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LEAST, []),
        (
            LEAST.replace("senders", "senders: []\n#"),
            ["senders: nobody may send; add an entry, with networks"],
        ),
        (
            LEAST.replace("127.0.0.0/8", "0.0.0.0/0"),
            ["senders[0].networks[0]: the whole Internet may send at your cost; write your networks"],
        ),
        (
            LEAST + "senders: [{name: a, from: ['*@example.com']}]",
            ["senders[0]: anybody can write such an address; add networks"],
        ),
        (
            LEAST.replace("url: sandbox", 'apikey: k, url: "http://sms.example.com"'),
            ["accounts.main.url: login and texts travel in clear; write https://"],
        ),
        (LEAST.replace("url: sandbox", 'apikey: k, url: "http://relay.localhost:80"'), []),
        (
            with_route("{match: '*', channel: viber, condense: true, quiet: {hours: 22-7}}"),
            [],
        ),
        (
            with_route("{match: '*', channel: sms}, {match: '*@a.example', channel: mail}"),
            ["routes[1].match: the route on line 4 takes all of this; put this one before it"],
        ),
        (
            LEAST
            + "inbox: {default: a@example.com, acknowledge: [yes]}\nweb: {callback_secret: k, public_url: 'https://a.example'}",
            [],
        ),
        (
            LEAST + "web: {public_url: 'https://a.example'}",
            ["web.public_url: callbacks are refused without callback_secret; set one"],
        ),
        (
            LEAST + "web: {callback_secret: 'a b'}",
            [
                "web.callback_secret: the provider takes letters a to z, digits, - and _; write such a one",
            ],
        ),
        (
            LEAST + "aliases: {oncall: {to: ['+79991234567'], escalate: [{after: 5m, channel: call}]}}",
            [],
        ),
        (
            LEAST + "listeners: [{address: '0.0.0.0:2525', profile: legacy}]",
            [
                "listeners[0].profile: who is in no private network is refused; bind a private address",
            ],
        ),
        (
            LEAST
            + "listeners: [{address: 'unix:in', profile: legacy}, {address: 'host:2525', profile: legacy},"
            " {address: '[::1]:2526', profile: legacy}]",
            [],
        ),
    ],
)
def test_what_may_not_be_meant_is_warned_of(load, text, said):
    """What loads but does not do what it seems to is said at its place, in the file's order."""
    text = (
        text.replace("senders: [{name: local, networks: [127.0.0.0/8]}]", "")
        if text.count("senders:") > 1
        else text
    )
    assert [re.sub(r"^.*:\d+:\d+: ", "", warning) for warning in load(text).warnings] == said


def test_other_rooms_point_into_the_file(load, tmp_path):
    """A room's complaint stands at the line of the value that it is about."""
    found = load(LEAST + "aliases:\n  oncall:\n    - nobody\n")
    assert found.fault(("aliases", "oncall", "to", 0), "no number") == (
        f"{tmp_path}/config.yaml:7:7: aliases.oncall[0]: no number"
    )
    listed = load(LEAST + "aliases:\n  oncall:\n    to:\n    - nobody\n")
    assert listed.fault(("aliases", "oncall", "to", 0), "no number") == (
        f"{tmp_path}/config.yaml:8:7: aliases.oncall.to[0]: no number"
    )
    assert found.fault(("routes", 0, "params", "sender"), "too long") == (
        f"{tmp_path}/config.yaml:4:10: routes[0].sender: too long"
    )


def test_a_place_below_a_secret_is_not_said():
    """Whatever stands under a secret's key is left out of sentences."""
    assert document.dotted(("accounts", "main", "psw", "hunter2")) == "accounts.main.psw"


# -- the shape itself -----------------------------------------------------------------------


def test_every_setting_has_help():
    """A setting without a word about it cannot be declared; the words end in a full stop."""
    assert [one.pattern for one in setting.settings(config.Config) if not one.help.endswith(".")] == []


def test_a_kind_without_a_word_is_refused():
    """A new type needs a word for the documents."""

    class Odd(setting.Shape):
        odd: complex = setting.setting(0, help="Odd.")

    with pytest.raises(TypeError):
        setting.fields(Odd)


def test_literals_are_written_as_yaml():
    """Defaults on the page can be copied into the file."""
    assert page.literal({"a": [True, "", 5]}) == '{a: [true, "", 5]}'
