"""Whether a text tells of a problem or of a recovery, judged by its words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.message.alarms import alarm_of
from relay.model import Alarm

PROBLEMS = [
    "Problem: High CPU on web1",
    "Problem: name resolved wrongly",
    "PROBLEM: systemd-resolved.service is not running",
    "Updated problem in 10m: High CPU",
    "** PROBLEM Service Alert: db1/Disk is CRITICAL **",
    "** ACKNOWLEDGEMENT Host Alert: db1 is DOWN **",
    "[PROBLEM] Host db1 is DOWN!",
    "[FIRING:2] HighCPU (db1 critical)",
    "[FIRING:1, RESOLVED:1] HighCPU",
    "[Alerting] Disk alert",
    "State changed from OK to CRITICAL",
    "OK -> CRITICAL: load",
    "db1 DOWN",
    "db1 is down",
    "DOWN: db1",
    "Backup failed",
    "Status: not OK",
    "Disk is not OK",
    "db1 not recovered yet",
    "The problem could not be resolved",
    "Disk failure",
    "Recovery failed on db1",
    "Проблема: узел db1 недоступен",
    "Узел db1 не восстановлен",
    "Связь ещё не восстановлена",
    "Авария на db1",
    "Температура не в норме",
    "Сбой питания",
    "Ошибка не решена",
    "Ошибка резервного копирования",
    "db1 недоступен",
    "WARNING - load average: 5.1",
    "CRITICAL: backup OK, disk failed",
    "ALERT db1",
    "Warning: link is up but slow",
    "db1 is down but web1 is up",
    "web1 is up but db1 is down",
    "Not all hosts are up",
    "Не все узлы доступны, часть снова доступна",
    "Primary link is down, backup is up",
    "Primary link DOWN - traffic switched to backup (UP)",
    "RESOLVED by mistake, still down",
    "RESOLVED: db1 is still down",
    "ERROR resolved? no",
    "Status: OK (3 files failed)",
    "Status: normal. Disk /: 99% CRITICAL",
    "State: DOWN, previous state: OK",
    "10 hosts up, 1 host down",
    "db1 is UP -> DOWN",
    "Server nicht erreichbar",
    "Störung: Leitung ausgefallen",
    "Störung nicht behoben",
    "Backup fehlgeschlagen",
    "Ausfall der Heizung",
    "Warnung: Festplatte fast voll",
    "Temperaturalarm Serverraum",
    "Сервіс недоступний: сайт",
    "Помилка резервного копіювання",
    "Аварія на db1",
    "Немає зв'язку з вузлом sw-3",
    "Зв'язок не відновлено",
    "Нет связи с узлом sw-3",
    "Диск заполнен на 98%",
    "Потеря питания на объекте 12",
    "Резервное копирование завершено с ошибками",
    "UPS on battery power",
    "UPS battery low",
    "Link down on port 3",
    "BGP neighbor 10.0.0.1 Down",
    "[Uptime Kuma] [🔴 Down] site",
    "[No Data] host up check",
    "No response from host db1",
    "host db1 stopped responding",
    "Node not ready",
    "Node NotReady: k8s-1",
    "host db1 shut down",
    "Low disk space",
    "Water leak detected",
]
RECOVERIES = [
    "db1 is back up",
    "Status: ONLINE",
    "RESOLVED: Problem: disk failed",
    "Problem resolved",
    "Problem has been resolved in 5m: CPU",
    "Resolved in 5m: High CPU",
    "** RECOVERY Service Alert: db1/Disk errors is OK **",
    "[RECOVERY] Disk on db1 is OK!",
    "[FIRING:0] HighCPU",
    "[RESOLVED] HighCPU (db1 critical)",
    "[OK] Disk alert",
    "State changed from CRITICAL to OK",
    "db1: CRITICAL -> OK",
    "Server db1 is up again after failure",
    "db1 is UP",
    "db1 UP",
    "UP: db1",
    "OK: 0 errors",
    "CLEARED: temperature alarm",
    "Alarm cleared",
    "Alert: service recovered",
    "Temperature back to normal",
    "восстановлено: узел db1",
    "Проблема решена: узел db1",
    "Проблема устранена",
    "Узел db1 восстановлен",
    "Авария устранена",
    "Температура в норме",
    "Состояние: норма",
    "Ошибок нет, всё в норме",
    "db1 снова доступен",
    "РЕШЕНО: Проблема с диском",
    "Всё ОК",
    "db1 was DOWN, is now UP",
    "db1 is up again (was DOWN for 5 minutes)",
    "Status: CRITICAL -> OK",
    "State: OK, previous state: DOWN",
    "Отбой: воздушная тревога",
    "Отбой тревоги",
    "Відбій тривоги",
    "Сервіс відновлено: сайт",
    "Сервер знову доступний",
    "Störung behoben: Leitung 3",
    "Server wieder erreichbar",
    "Сервер снова отвечает: 10.0.0.1",
    "host db1 is responding again",
    "Link up on port 3 of sw1",
    "[Uptime Kuma] [✅ Up] site",
    "Agent db1 reconnected",
]
NEITHER = [
    "Your system is up to date",
    "Please back up your data",
    "What is up tomorrow",
    "What is up?",
    "Error: 0 errors found",
    "Keine Fehler",
    "Bring the laptop up to the office",
    "Backup finished with 0 errors",
    "Errors: 0, warnings: 0",
    "Backup completed successfully",
    "Follow up on the meeting",
    "Set up a call",
    "Lunch?",
    "",
    "Re: your order",
    "systemd-resolved",
    "Data recovery plan",
    "db1 доступен",
    "Встреча в 10:00",
    "Решение по договору",
    "Нет проблем",
    "unresolved issue",
]


@pytest.mark.parametrize("subject", PROBLEMS)
def test_what_broke_is_a_problem(subject):
    """The state it is in, words of trouble, and recoveries that are denied."""
    assert Alarm.PROBLEM is alarm_of(subject, "")


@pytest.mark.parametrize("subject", RECOVERIES)
def test_what_works_again_is_a_recovery(subject):
    """Also where the subject names the problem that is over."""
    assert Alarm.RECOVERY is alarm_of(subject, "")


@pytest.mark.parametrize("subject", NEITHER)
def test_what_tells_of_no_state_is_neither(subject):
    """Words that only look like a state, and troubles that there are none of."""
    assert Alarm.NONE is alarm_of(subject, "")


@pytest.mark.parametrize("subject", [*PROBLEMS, *RECOVERIES])
def test_a_subject_decides_over_the_body(subject):
    """The body is asked only where the subject says nothing."""
    assert alarm_of(subject, "") is alarm_of(subject, "OK: all is well\nPROBLEM: all is lost")


@pytest.mark.parametrize(
    ("body", "alarm"),
    [
        ("Hi,\n\nthe disk of db1 failed.\n", Alarm.PROBLEM),
        ("db1\n\n\n\nStatus: OK\nlast problem: yesterday", Alarm.RECOVERY),
        ("Previous state: DOWN\nState: OK", Alarm.RECOVERY),
        ("State: DOWN\nPrevious state: OK", Alarm.PROBLEM),
        ("old status: OK\nnew status: CRITICAL", Alarm.PROBLEM),
        ("Предыдущее состояние: авария\nСостояние: норма", Alarm.RECOVERY),
        ("Trigger status: PROBLEM\nOriginal status: OK", Alarm.PROBLEM),
        ("Status: OK\nDisk /: 99% CRITICAL", Alarm.PROBLEM),
        ("Problem resolved\nProblem name: load", Alarm.RECOVERY),
        ("1\n2\n3\n4\n5\nthe disk failed", Alarm.NONE),
        ("\n" * 5000 + "the disk failed", Alarm.NONE),
        (" " * 600 + "failed", Alarm.NONE),
        ("", Alarm.NONE),
    ],
)
def test_the_first_lines_of_a_body_speak(body, alarm):
    """Of the first five that are not empty; trouble counts most, what was before not at all."""
    assert alarm is alarm_of("News of db1", body)


@given(st.text(), st.text())
def test_any_text_is_judged(subject, body):
    """Nothing raises."""
    assert isinstance(alarm_of(subject, body), Alarm)


@pytest.mark.timeout(20)  # a quadratic reading would take hours
@pytest.mark.parametrize(
    "piece",
    [
        *("not ", "не ", "is ", "-> ", "[", "OK ", "no new ", "0 ", "back to ", "\t", "вер", "a", "peer "),
        *("old ", "is up ", "is down ", "7 a ", "host ", "previous state is ", "last ", "error: 0 "),
    ],
)
def test_hostile_text_is_judged_in_time(piece):
    """Only the beginning is looked at, and each line of it once."""
    flood = piece * (10_000_000 // len(piece))
    assert all(isinstance(alarm_of(flood, flood), Alarm) for _ in range(20))
