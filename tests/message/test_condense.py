"""Monitoring mails become one line; ordinary mails stay what they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from relay import model
from relay.message import condense, content
from relay.message.condense import Condensed, parse, recognise
from relay.message.recogniser import RecogniserFault
from relay.message.recognisers import builtin, load
from relay.message.wording import Source
from relay.model import Alarm, Letter

FOLDER = Path(__file__).parents[1] / "mails" / "recognised"
MAILS = {path.stem: content.read(path.read_bytes()) for path in sorted(FOLDER.glob("*.eml"))}
LINES = yaml.safe_load((FOLDER / "lines.yaml").read_text("utf-8"))
DOC = (Path(__file__).parents[2] / "docs" / "recognisers.md").read_text("utf-8")


def made(source: str, letter: Letter, body: str = "") -> Condensed | None:
    """What a recogniser alone makes of a mail."""
    return recognise(letter, body, [parse("own", source)])


def line(source: str, letter: Letter, body: str = "") -> str:
    """Its line, "" where it makes none."""
    found = made(source, letter, body)
    return found.line if found else ""


# -- the built-in ones --------------------------------------------------------------------


@pytest.mark.parametrize("name", MAILS)
def test_a_monitors_mail_is_one_line(name):
    """The recogniser, the alarm and the exact line of each mail of the folder."""
    letter = MAILS[name]
    found = recognise(letter, Source(letter).readable, builtin())
    assert LINES[name] == {"by": found.by, "alarm": found.alarm.value, "line": found.line}


@pytest.mark.parametrize("name", MAILS)
def test_only_one_recogniser_knows_a_mail(name):
    """Their order decides nothing."""
    letter = MAILS[name]
    fits = [each.name for each in builtin() if recognise(letter, Source(letter).readable, [each])]
    assert [LINES[name]["by"]] == fits


def test_every_recogniser_has_its_mails():
    """A problem, what is nearest to a recovery, and a repeat; and every mail has its line."""
    names = {each.name for each in builtin()}
    assert {f"{name}-{kind}" for name in names for kind in ("problem", "recovery", "repeat")} <= set(MAILS)
    assert set(MAILS) == set(LINES)
    assert names == {each["by"] for each in LINES.values()}
    assert sorted(names) == [each.name for each in builtin()]


@pytest.mark.parametrize("name", [name for name in MAILS if name.endswith(("problem", "repeat"))])
def test_a_problem_is_one_however_often_it_is_sent(name):
    """Acknowledged, still firing and re-sent mails are problems."""
    assert "problem" == LINES[name]["alarm"]


@pytest.mark.parametrize("name", MAILS)
@pytest.mark.parametrize("prefix", ["Re: ", "Fwd: ", "FYI "])
def test_an_answer_to_a_monitors_mail_is_not_condensed(name, prefix):
    """What a person writes above the quotation must not be lost."""
    letter = replace(MAILS[name], subject=prefix + MAILS[name].subject)
    body = "Who takes this?\n\n" + "\n".join("> " + each for each in Source(MAILS[name]).readable.split("\n"))
    assert recognise(letter, body, builtin()) is None


ORDINARY = [
    ("Problem: the printer is broken", "Hi,\n\nthe printer on the second floor does not print.\n\nAnna"),
    ("Resolved: parking", "The parking question is resolved. Severity: none."),
    ("Zabbix training on Monday", "Problem name: how to write triggers\nHost: room 4"),
    ("** Host Alert: what it means **", "In Nagios, a Notification Type says why a mail is sent."),
    ("[PROBLEM] Anna is ILL!", "She will be back on Monday."),
    ("[FIRING:1] how do I read this subject?", "Grafana and Alertmanager both send it. What is the 1?"),
    ("[RESOLVED] your ticket 5521", "Dear customer, your ticket is closed."),
    ("[Success] stories of our customers", "Read how they use Veeam Backup & Replication 12 at night."),
    ("[Failed] delivery of your parcel", "The courier did not find the door."),
    ("Alerts", "TrueNAS @ home is great. New alerts: none."),
    ("New NAS", "Dear user,\n\nSynology presents the new DiskStation.\n"),
    ("vzdump backup status", "How do I read the backup status of Proxmox?"),
    ("Verify Datastore has failed", "Job ID: unknown"),
    ("Cron <root@db1> explained", "Every line of a crontab is a job."),
    ("Fail event on Friday", "The event on /dev/null is cancelled."),
    ("SMART error detected", "The smartd daemon wrote this, what now?"),
    ("Fail2Ban: banned for good", "The IP was banned by Fail2Ban."),
    ("", ""),
]


@pytest.mark.parametrize(("subject", "body"), ORDINARY, ids=[subject for subject, _ in ORDINARY])
def test_ordinary_mail_is_not_condensed(subject, body):
    """Mails that only mention a product, or that are worded a little like it."""
    letter = Letter(subject=subject, from_="anna@example.com", headers=(("From", "Anna <anna@example.com>"),))
    assert recognise(letter, body, builtin()) is None


# -- how a recogniser is asked ------------------------------------------------------------

BOILER = """
when: {subject: '^Boiler '}
read:
  - body: '^Value: (?P<value>.+)'
  - body: '^Old value: (?P<value>.+)'
  - subject: '^Boiler (?P<name>\\w+)(?: in (?P<room>\\w+))?'
recovery: {subject: ' ok$'}
problem: {subject: ' bad$'}
line: 'Boiler[[ {room}]]/{name}[[: {value}]]'
"""


@pytest.mark.parametrize(
    ("subject", "body", "wanted"),
    [
        ("Boiler one bad", "Value: 7", ("Boiler/one: 7", Alarm.PROBLEM)),
        ("Boiler one ok", "Old value: 8", ("Boiler/one: 8", Alarm.RECOVERY)),
        ("Boiler one in cellar", "Old value: 8\nValue: 9", ("Boiler cellar/one: 9", Alarm.NONE)),
        ("Boiler one", "Value:", ("Boiler/one", Alarm.NONE)),
        ("Boiler -", "Value: 7", None),
        ("A boiler", "Value: 7", None),
    ],
)
def test_fields_fill_the_line(subject, body, wanted):
    """The first pattern with a value wins; what is absent goes with its brackets or ends it all."""
    found = made(BOILER, Letter(subject=subject), body)
    assert wanted == (found and (found.line, found.alarm))


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ("{subject: Disk, body: full}", True),
        ("{subject: Disk, body: empty}", False),
        ("[{body: empty}, {body: full}]", True),
        ("{body: [disk, full]}", True),
        ("{body: [disk, empty]}", False),
        ("{subject: Disk, not.body: full}", False),
        ("{subject: Disk, not.body: empty}", True),
        ("{from: '^nas@example.com$'}", True),
        ("{from: 'The NAS <'}", True),
        ("{to: oncall}", True),
        ("{header.X-Nas: '^2$'}", True),
        ("{header.x-nas: '^1$'}", True),
        ("{header.X-Other: '.'}", False),
        ("{body: 'the\\s+disk'}", True),
        ("{body: 'a\\nb'}", False),
        ("{body: '^indented$'}", True),
    ],
)
def test_conditions_hold_where_their_patterns_are_found(when, fits):
    """All of a group on some line of their place; one group of a list is enough."""
    letter = Letter(
        subject="Disk",
        from_="nas@example.com",
        to="oncall@example.com",
        headers=(("From", "The NAS <nas@example.com>"), ("X-Nas", "1"), ("X-Nas", "2")),
    )
    source = f"when: {when}\nline: '{{subject}}'"
    assert fits is bool(made(source, letter, "the  disk\r\nis full\n\n   indented\t\na\nb"))


def test_what_stands_below_another_line_is_found_there():
    """`after` leaves out what stands above, and all where it is not found."""
    source = "when: {subject: x}\nread: [{body: '(?P<what>.+)', after: '^Info$'}]\nline: '{what}'"
    assert "two" == line(source, Letter(subject="x"), "one\nInfo\n\ntwo\nthree")
    assert "" == line(source, Letter(subject="x"), "one\ntwo")


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("* one\n  two\n* three", "one two"),
        ("* one\ntwo", "one two"),
        ("* one\nEnd:\ntwo", "one"),
        ("* 0\n" + "\n".join("123456789abc"), "0 1 2 3 4 5 6 7 8 9"),
        ("* " + "x " * 240 + "\n" + "y " * 240, "x " * 149 + "x…"),
    ],
)
def test_a_wrapped_text_is_put_together(body, what):
    """`until` joins the lines below, ten at most and within the length of a line."""
    source = "when: {subject: x}\nread: [{body: '^\\* (?P<what>.+)', until: '^\\* |:$'}]\nline: '{what}'"
    assert what == line(source, Letter(subject="x"), body)


def test_an_alarm_without_a_line_is_not_condensed():
    """A recogniser may leave recoveries to others."""
    source = "when: {subject: .}\nrecovery: {subject: ok}\nline: {problem: 'P {subject}'}"
    assert "P bad" == line(source, Letter(subject="bad"))
    assert made(source, Letter(subject="ok")) is None


def test_the_next_recogniser_is_asked_where_a_field_is_absent():
    """The first one that can fill its line is taken."""
    one = parse("one", "when: {subject: .}\nread: [{body: '(?P<x>x)'}]\nline: '{x}'")
    two = parse("two", "when: {subject: .}\nline: '{subject}'")
    assert ["one", "two"] == [recognise(Letter(subject="s"), body, [one, two]).by for body in ("x", "y")]
    assert recognise(Letter(subject="s"), "x", []) is None


def test_a_line_is_short_and_clean():
    """300 characters at most, without control characters or places of files."""
    source = "when: {subject: .}\nread: [{body: '(?P<x>.+)'}]\nline: '{subject}: {x}'"
    letter = Letter(subject=f"a\x07b\u200b{model.mark(3)}c")
    assert "ab c: \u0434 e" == line(source, letter, f"\u0434 \ufdd0\u200b1\ufdd1\t e{model.mark(0)}")
    long = line(source, letter, "word " * 99)
    assert (300, "…") == (len(long), long[-1]) or (299, "…") == (len(long), long[-1])
    assert made(source.replace(": {x}", ""), Letter(subject="- !")) is None


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ("x" * 19_998 + "\nend", False),
        ("x" * 19_990 + "\nend", True),
        ("\n" * 400 + "end", False),
        ("\n" * 399 + "end", True),
        ("x" * 498 + "end", False),
        ("x" * 497 + "end", True),
    ],
)
def test_only_the_beginning_is_looked_at(body, seen):
    """20,000 characters, 400 lines, 500 characters of a line."""
    assert seen is bool(made("when: {body: 'end$'}\nline: '{subject}'", Letter(subject="s"), body))


AT_ONCE = """
when: {subject: .}
each: {begin: [^Name, ^Alert], skip: ^Test$, after: ^Firing, until: ^Resolved}
read:
  - {body: '^(?:Name|Alert) (?P<name>.+)'}
  - {body: '^Host (?P<host>.+)'}
line: '{name}[[ on {host}]][[, {more} more]]'
"""


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("Alert a\nHost 1", "a on 1"),
        ("Alert a\nAlert b\nHost 2", "a, +1 more"),
        ("Alert a\nTest\nHost 1\nAlert b\nHost 2\nAlert c", "b on 2, +1 more"),
        ("Alert a\nTest\nAlert b\nTest", "a, +1 more"),
        ("Alert a\nName b\nHost 2\nAlert c", "b on 2"),
        ("Alert a\nFiring\nAlert b\nAlert c\nResolved\nAlert d", "b, +1 more"),
        ("Firing\nResolved\nAlert d\nHost 4", "d on 4"),
        ("Host 1", ""),
        ("Alert a\n" * 401, "a, at least 399 more"),
    ],
)
def test_fields_are_those_of_one_alert(body, wanted):
    """Two of different alerts would say together what is true of none; the others are counted."""
    assert wanted == line(AT_ONCE, Letter(subject="s"), body)


def of(subject: str, body: str, sender: str = "a@example.com") -> tuple[str, str]:
    """What the built-in recognisers make of a mail: its line and its alarm."""
    letter = Letter(subject=subject, from_=sender, headers=(("From", sender),))
    found = recognise(letter, body, builtin())
    return found.line, found.alarm.value


PROMETHEUS = "[1] Firing\nLabels\nalertname = Up\n{}\nSent by Alertmanager\n"


@pytest.mark.parametrize(
    ("label", "host"),
    [
        ("instance = db1:9100", "db1"),
        ("instance = [2001:db8::1]:9100", "2001:db8::1"),
        ("node = 2001:db8::1", "2001:db8::1"),
        ("instance = https://shop.example.com/cart", "shop.example.com/cart"),
        ("instance = https://shop.example.com/", "shop.example.com"),
        ("host = db1 in rack 4", "db1 in rack 4"),
    ],
)
def test_an_alert_names_its_host_however_it_is_written(label, host):
    """Names, addresses of version 6 and addresses of the web."""
    assert (f"FIRING {host}: Up", "problem") == of("[FIRING:1] x", PROMETHEUS.format(label))
    body = f"(1) FIRING\nLabels:\nalertname = Up\n{label.replace('node', 'host')}\nSent by Grafana v11"
    said = f"FIRING {host}: Up" if " in " not in host else "FIRING: Up"
    assert (said, "problem") == of("[FIRING:1] x", body)


def test_a_watchdog_is_not_the_news():
    """Nor does it lend its name or its severity to another alert, and what is resolved is not counted."""
    body = PROMETHEUS.format(
        "severity = none\nsummary = always firing\nLabels\nalertname = DiskFull\ninstance = db1:9100\n"
        "severity = critical\nsummary = db1 is full\n[1] Resolved\nLabels\nalertname = Load\ninstance = db2"
    )
    assert of("[FIRING:2] prod", body) == ("FIRING db1: DiskFull - db1 is full (critical)", "problem")
    body = (
        "(2) FIRING\nLabels:\nalertname = Watchdog\nseverity = none\nSummary: lives\n\nLabels:\n"
        "alertname = DiskFull\ninstance = db1\nseverity = critical\nSent by Grafana v11"
    )
    assert of("[FIRING:2] prod", body) == ("FIRING db1: DiskFull (critical)", "problem")


CRON = ("Cron <root@db1> x.sh", "Cron Daemon <root@db1>")


@pytest.mark.parametrize(
    ("body", "said", "alarm"),
    [
        ("0 errors, 0 failed\nall fine", "0 errors, 0 failed", ""),
        ("errors: 0", "errors: 0", ""),
        ("Ошибок: 0\nготово без ошибок", "Ошибок: 0", ""),
        (
            "errors will be logged to error.log\nCRITICAL: backup missing",
            "CRITICAL: backup missing",
            "problem",
        ),
        ("writing error.log\nrsync: connection refused", "rsync: connection refused", "problem"),
        ("10 errors", "10 errors", "problem"),
        ("0 errors, 3 failed", "0 errors, 3 failed", "problem"),
        ("Готово: 5 ошибок", "Готово: 5 ошибок", "problem"),
        ("error: 1\nsegfault at 0", "segfault at 0", "problem"),
        (
            "Traceback (most recent call last):\n  File x, line 1\n    raise Fault(x)\nValueError: db down",
            "ValueError: db down",
            "problem",
        ),
        ("Traceback (most recent call last):\n  File x\nKeyboardInterrupt", "KeyboardInterrupt", "problem"),
    ],
)
def test_a_job_says_what_went_wrong(body, said, alarm):
    """The gravest line, of a traceback the exception; words that deny a fault are none."""
    assert (f"cron db1: x.sh: {said}", alarm) == of(CRON[0], body, CRON[1])


@pytest.mark.parametrize(
    ("kind", "state", "alarm"),
    [
        ("RECOVERY", "UP", "recovery"),
        ("PROBLEM", "DOWN", "problem"),
        ("FLAPPINGSTART", "UP", "problem"),
        ("ACKNOWLEDGEMENT", "OK", "problem"),
        ("ACKNOWLEDGEMENT", "CRITICAL", "problem"),
        ("DOWNTIMESTART", "UP", ""),
        ("DOWNTIMESTART", "DOWN", ""),
        ("CUSTOM", "OK", ""),
        ("CUSTOM", "DOWN", "problem"),
    ],
)
def test_only_a_recovery_of_nagios_is_one(kind, state, alarm):
    """A host that flaps may be up this minute, and what somebody took on is not over."""
    assert alarm == of(f"** {kind} Host Alert: db1 is {state} **", f"Notification Type: {kind}\n")[1]
    body = "***** Host Monitoring on mon1 *****\n"
    assert alarm == of(f"[{kind}] Host db1 is {state}!", body)[1]


def test_what_truenas_cleared_is_no_recovery_while_others_stand():
    """The line says which one still does."""
    gone = "TrueNAS @ nas1\n\nThe following alert has been cleared:\n* Scrub started\n"
    assert of("Alerts", gone) == ("CLEARED nas1: Scrub started", "recovery")
    stands = gone + "\nCurrent alerts:\n* Pool tank is DEGRADED\n"
    assert of("Alerts", stands) == ("CLEARED nas1: Scrub started - still: Pool tank is DEGRADED", "")
    new = stands.replace("\n\nThe", "\n\nNew alerts:\n* Fan 2 failed\n\nThe")
    assert of("Alerts", new) == ("ALERT nas1: Fan 2 failed", "problem")


def synology(subject: str) -> Alarm:
    """The alarm of a notification with this subject."""
    body = "Dear user,\n\nsee the subject.\n\nSincerely,\nSynology DiskStation\n"
    return recognise(Letter(subject=subject), body, builtin()).alarm


@pytest.mark.parametrize(
    ("subject", "alarm"),
    [
        ("[nas1] Volume 1 on nas1 could not be repaired", Alarm.PROBLEM),
        ("[nas1] Backup task failed on nas1", Alarm.PROBLEM),
        ("[nas1] Backup task on nas1 has completed successfully", Alarm.RECOVERY),
        ("[nas1] Том 1 не восстановлен", Alarm.PROBLEM),
        ("[nas1] Резервное копирование завершено успешно", Alarm.RECOVERY),
        ("[nas1] DSM update is available", Alarm.NONE),
        ("[nas1] Volume 1 repair completed with errors", Alarm.PROBLEM),
        ("[nas1] Volume 1 repair completed without errors", Alarm.RECOVERY),
        ("[nas1] Scrubbing completed, 0 bad sectors", Alarm.RECOVERY),
        ("[nas1] Backup task is partially completed", Alarm.PROBLEM),
        ("Backup task completed; 3 files could be lost", Alarm.PROBLEM),
        ("nas1 entered Safe Mode, UPS back to battery", Alarm.PROBLEM),
        ("nas1 left Safe Mode, UPS back to AC", Alarm.RECOVERY),
        ("[nas1] Резервное копирование завершено с ошибками", Alarm.PROBLEM),
        ("Проверка завершена: обнаружено 5 плохих секторов", Alarm.PROBLEM),
        ("Проверка завершена: ошибок не обнаружено", Alarm.RECOVERY),
        ("Копирование завершено частично", Alarm.PROBLEM),
    ],
)
def test_a_subject_of_synology_tells_the_alarm(subject, alarm):
    """What could not be done is a problem, news are neither."""
    assert alarm is synology(subject)


# -- hostile input ------------------------------------------------------------------------

PIECES = [
    *("Problem: ", " (Error) 1:00:00 ", "Alert: a/b is ", " is ", "[FIRING:2] ", "alertname = ", "a:", ": "),
    *(" on ", "(", "[Failed] ", " (1 VMs)", " Error 1:00:00", " 0:00:01 ", "Processing x Error: ", "error "),
    *("Success 1 x Backup size 1 GB ", "Cron <root@a> ", "a problem at", "[2/1] [U", "не ", "back to"),
    *(" failed - ", "a", " ", "\t", "\n"),
]


@pytest.mark.timeout(60)  # a pattern that goes back and forth would take hours
@pytest.mark.parametrize("name", [f"{each.name}-problem" for each in builtin()])
def test_hostile_mails_are_read_in_time(name):
    """Each recogniser on floods of what it looks for, in subject, headers and body."""
    letter, shown = MAILS[name], Source(MAILS[name]).readable
    for piece in PIECES:
        flood = piece * (3_000_000 // len(piece))
        lines = (piece * 500)[:499] + "\n"
        flooded = replace(letter, headers=(*letter.headers, *[("X-Cron-Env", flood[:10_000])] * 50))
        assert recognise(flooded, shown + "\n" + flood, builtin())
        assert recognise(flooded, shown + "\n" + lines * 400, builtin())
        for subject in (letter.subject + flood[:10_000], letter.subject[:10] + flood[:10_000]):
            found = recognise(replace(letter, subject=subject), lines * 400 + shown, builtin())
            assert found is None or len(found.line) <= condense.LONGEST


TEXT = st.text() | st.lists(st.sampled_from(PIECES) | st.text(max_size=5)).map("".join)


@given(st.sampled_from(sorted(MAILS)), TEXT, TEXT, TEXT)
def test_whatever_is_made_is_one_printable_line(name, subject, header, body):
    """Nothing raises for any text, alone or beside a real mail."""
    letter = MAILS[name]
    odd = replace(letter, subject=letter.subject + subject, headers=(*letter.headers, ("X-Cron-Env", header)))
    for each, said in ((Letter(subject=subject), body), (odd, body + Source(letter).readable + body)):
        found = recognise(each, said, builtin())
        assert found is None or (
            found.line.strip()
            and found.line == " ".join(found.line.split())
            and len(found.line) <= condense.LONGEST
            and not any(letter in found.line for letter in "\ufdd0\ufdd1\x00\n\r\u2028")
        )


# -- an operator's folder -----------------------------------------------------------------


def test_an_operators_folder_is_read_by_name(tmp_path):
    """Each *.yaml file is a recogniser that bears its name."""
    for name in ("b", "a"):
        (tmp_path / f"{name}.yaml").write_text("when: {subject: .}\nline: '{subject}'", "utf-8")
    (tmp_path / "notes.txt").write_text("not this", "utf-8")
    found = load(tmp_path)
    assert ["a", "b"] == [each.name for each in found]
    assert "a" == recognise(MAILS["nagios-problem"], "", (*found, *builtin())).by


def test_faults_of_a_folder_name_file_and_key(tmp_path):
    """All of them at once; a file that cannot be read is one as well."""
    (tmp_path / "a.yaml").write_text("when: {subject: .}\nline: '{host}'", "utf-8")
    (tmp_path / "b.yaml").write_bytes(b"when: \xff")
    (tmp_path / "c.yaml").mkdir()
    with pytest.raises(RecogniserFault) as raised:
        load(tmp_path)
    assert [
        f"{tmp_path}/a.yaml:2:1: line: no pattern under read yields host; name it there, (?P<host>…)",
        f"{tmp_path}/b.yaml:1:1: this is not UTF-8; save the file in that encoding",
        f"{tmp_path}/c.yaml:1:1: the file cannot be read: Is a directory",
    ] == str(raised.value).split("\n")


def test_a_folder_that_is_not_there_is_a_fault(tmp_path):
    """The sentence names it."""
    with pytest.raises(RecogniserFault, match="none: the folder cannot be read: No such file or directory"):
        load(tmp_path / "none")


# -- the page -----------------------------------------------------------------------------


def blocks(kind: str) -> list[str]:
    """The code blocks of this kind on the page."""
    return [each.split("\n```", 1)[0] for each in DOC.split(f"```{kind}\n")[1:]]


def test_the_page_shows_the_table():
    """docs/recognisers.md carries the table as it is generated."""
    assert condense.table(builtin()) in DOC


def test_the_example_of_the_page_works():
    """Its file is good, and makes of its mail what the page says."""
    [example] = blocks("yaml")
    [mail] = blocks("eml")
    [said] = blocks("text")
    letter = content.read(mail.encode())
    found = recognise(letter, Source(letter).readable, [parse("boiler", example)])
    assert f"{found.line} ({found.alarm.value})" == said
