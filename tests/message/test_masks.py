"""What makes alarms alike: masks are coarse, topics are fine."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.message.masks import mask, topic

FROM = "mon@example.com"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("disk 95% full", "disk 7% full"),
        ("down at 10:15:01", "down at 9:02:59"),
        ("since 2026-11-20 03:00", "since 21.11.2026 14:55"),
        ("10.0.0.7 does not answer", "192.168.100.254 does not answer"),
        ("job 9f86d081884c failed", "job 60303ae22b99 failed"),
        ("at 0xdeadbeef", "at 0x1"),
        ("link fe80:0:0:1::7 lost", "link fe80:0:0:2::99 lost"),
        ("Fri 20 Nov: fan stopped", "Sat 21 Dec: fan stopped"),
        ("температура 85,5", "температура 90,1"),
        ("Disk FULL", "disk full"),
    ],
)
def test_numbers_and_times_make_no_difference(one, other):
    """Alarms that differ in numbers, times, dates, ids and addresses only share a mask."""
    assert mask(one) == mask(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("disk full", "fan stopped"), ("db is down", "db is up"), ("вода", "огонь"), ("added", "decade")],
)
def test_other_words_are_another_mask(one, other):
    """Words count, those of hexadecimal letters too."""
    assert mask(one) != mask(other)


@pytest.mark.parametrize(
    ("problem", "recovery"),
    [
        ("PROBLEM: disk full on db1", "RESOLVED: disk full on db1"),
        ("[FIRING:2] DiskFull (db1)", "[RESOLVED] DiskFull (db1)"),
        ("** PROBLEM Service Alert: h/s is CRITICAL **", "** RECOVERY Service Alert: h/s is OK **"),
        (
            "Problem: Free space is less than 10% on /var",
            "Resolved in 1h 12m 3s: Free space is less than 10% on /var",
        ),
        ("Monitor is DOWN: shop", "Monitor is UP: shop"),
        ("Проблема: насос 3", "Восстановлено: насос 3"),
        ("CPU at 97% at 10:02", "CPU at 12% at 10:09 OK"),
    ],
)
def test_a_problem_and_its_recovery_share_a_topic(problem, recovery):
    """States, times and percentages are left out."""
    assert topic(FROM, problem, "") == topic(FROM, recovery, "") != ""


@pytest.mark.parametrize(
    ("problem", "recovery"),
    [
        ("PROBLEM: disk full on db1", "RESOLVED: disk full on db2"),
        ("PROBLEM: 10.0.0.7", "RESOLVED: 10.0.0.8"),
        ("Проблема: насос 3", "Восстановлено: насос 4"),
        ("DOWN: eth0", "UP: eth1"),
    ],
)
def test_what_names_a_thing_is_kept(problem, recovery):
    """A recovery never ends the problem of another thing."""
    assert topic(FROM, problem, "") != topic(FROM, recovery, "")


def test_the_body_may_name_the_host():
    """Two hosts with the same subject are two topics, and so are two monitors."""
    one = topic(FROM, "Problem: disk", "Problem started at 10:00\nHost: db1\nSeverity: High\n")
    assert one == topic(FROM, "Resolved: disk", "Problem has been resolved at 10:05\nHost: db1\n")
    assert one != topic(FROM, "Resolved: disk", "Host: db2\n")
    assert one != topic("other@example.com", "Resolved: disk", "Host: db1\n")
    assert topic(FROM, "DOWN", "Узел: шлюз\n") != topic(FROM, "", "Узел: сервер\n")


def test_a_topic_without_words_is_none():
    """A subject that says only "OK" is about nothing that is known, so it ends nothing."""
    assert "" == topic(FROM, "OK", "")
    assert "" == topic(FROM, "", "")
    assert topic(FROM, "", "PROBLEM pump\nmore") == topic(FROM, "", "OK pump\nother") != ""


@given(st.text(max_size=3000), st.text(max_size=3000))
def test_any_text_has_a_mask_and_a_topic(subject, body):
    """Whatever the text, sixteen letters come out, or none."""
    assert 16 == len(mask(subject))
    assert len(topic("", subject, body)) in (0, 16)


@pytest.mark.parametrize("piece", ["1:", "a1", "1.", "f", "::", "host ", "resolved in 1 h ", "1 ", "- "])
def test_time_is_linear(piece):
    """A megabyte that would please a pattern takes no longer than any other."""
    began = time.perf_counter()
    mask(piece * 500_000)
    topic(FROM, piece * 300_000, piece * 500_000)
    assert time.perf_counter() - began < 1
