"""Whether a text says that something broke or that it works again, by its words alone.

For mails that no recogniser knows. What is asked first counts most: the state that a line
begins with ("RESOLVED: …", "[FIRING:2] …"), the state that it ends up in ("… is DOWN", "OK ->
CRITICAL"), then words of ending ("the problem was resolved"), then words of trouble. Short
words ("up", "down", "ok") are states only where they stand like one: "follow up" says nothing.
"""

from __future__ import annotations

import re

from relay.model import Alarm

_LONGEST = 500  # characters of a line
_LINES = 5  # of the body that say something at all
_MOST = 4000  # characters among which they are

_LEFT, _RIGHT = r"(?<![\w.-])", r"(?![\w-]|\.\w)"  # a word, not a piece of systemd-resolved.service

_NEVER = re.compile(
    rf"{_LEFT}(?:(?:not|never|no|cannot|can't|isn't|wasn't|hasn't|couldn't)(?: (?:be|been|yet|fully)){{0,2}}"
    r"[ -](?:ok|okay|up|resolved|recovered|recovery|cleared|restored|fixed|normal|back to normal)"
    r"|(?:не|нет)(?: (?:был[аои]?|до конца|полностью|удалось)){0,2} (?:восстанов\w{0,8}|реш[её]н\w{0,2}"
    r"|устран\w{0,6}|исправл\w{0,5}|в норме|доступ\w{0,4}|работает))"
    rf"{_RIGHT}",
    re.IGNORECASE,
)
_NOTHING = re.compile(
    rf"{_LEFT}(?:(?:no|0|zero|without|without any|no more|нет|без) (?:new |further |активных |новых )?"
    r"(?:problems?|errors?|failures?|failed|warnings?|alerts?|alarms?|проблем|ошибок|сбоев|аварий|предупреждений)"
    r"|(?:problems?|errors?|failures?|failed|warnings?|alerts?|проблем|ошибок)\s?[:=]\s?0)"
    rf"{_RIGHT}",
    re.IGNORECASE,
)

_GOOD = (
    r"(?:ok|okay|up(?! to\b)|online|resolved|recovered|recovery|cleared|restored|normal|firing:0|healthy"
    r"|back to normal|восстановлен[аоы]?|восстановление|восстановил(?:ся|ась|ось|ись)|реш[её]н[аоы]?"
    r"|устран[её]н[аоы]?|исправлен[аоы]?|норма|норме|в норме|доступ(?:ен|на|но|ны)|ок)"
)
_BAD = (
    r"(?:problem|critical|down|warning|firing(?::[1-9][0-9]{0,5})?|alerting|unreachable|unavailable|offline|degraded"
    r"|failed|failure|error|unknown|crashed|not ok"
    r"|проблема|авария|сбой|ошибка|отказ|недоступ(?:ен|на|но|ны)|не отвечает|предупреждение|упал[аои]?)"
)
_BEGINS = re.compile(
    r"[\W_]{0,12}(?:"
    rf"(?:(?P<good>{_GOOD})|(?P<bad>{_BAD}))"
    r"(?!\s?(?:[-=]>|→|»))(?=\s?[\]:|*)}>-]|\s[^\w\s]|\Z| (?:service|host) alert)"
    r")",
    re.IGNORECASE,
)
_ENDS = re.compile(
    r"(?:(?<![\w.-])(?:is|are|now|to|became|went|state|status|статус|состояние|теперь|снова|стал[аои]?)"
    r"(?:\s?[:=]\s?|\s)|(?:[-=]>|→|»)\s?)"
    r"(?:(?:now|again|back|still|currently|in|been|снова|опять|все ещё|всё ещё|в)\s){0,3}[\"'«*\[]{0,2}"
    rf"(?:(?P<good>{_GOOD})|(?P<bad>{_BAD})){_RIGHT}",
    re.IGNORECASE,
)
_ENDED = re.compile(
    rf"{_LEFT}(?:resolved|recovered|cleared|restored|back to normal|back online|firing:0"
    r"|восстановлен[аоы]?|восстановил(?:ся|ась|ось|ись)|реш[её]н[аоы]?|устран[её]н[аоы]?|исправлен[аоы]?"
    rf"|в норме|пришл[аои] в норму|верну\w{{1,6}} в норму|тревога снята|снова доступ(?:ен|на|но|ны)){_RIGHT}",
    re.IGNORECASE,
)
_TROUBLE = re.compile(
    rf"{_LEFT}(?:problems?|critical|warnings?|firing|alerts?|alarms?|alerting|failed|fails|failing|failure|failures|errors?|fatal"
    r"|unreachable|unavailable|degraded|offline|crashed|outage|timed out"
    r"|проблем[аыу]?|авари[яию]|сбо[йяи]|ошибк[аиу]|отказ|недоступ(?:ен|на|но|ны)|не отвечает|тревога"
    r"|предупреждени[ея]|упал[аои]?|не работает|не удалось|превышен[аоы]?"
    rf"|(?-i:DOWN)){_RIGHT}",
    re.IGNORECASE,
)
_STATES = re.compile(rf"{_LEFT}(?:(?-i:OK|UP|RECOVERY|ОК|НОРМА|ВОССТАНОВЛЕНИЕ)|норма){_RIGHT}")


def alarm_of(subject: str, body: str) -> Alarm:
    """What the subject says of it or, where it says nothing, the first lines of the body."""
    said = _judged(subject)
    lines = [line for line in body[:_MOST].split("\n") if line.strip()][:_LINES]
    return said or next((found for line in lines if (found := _judged(line))), Alarm.NONE)


def _judged(line: str) -> Alarm:
    line = " ".join(line[:_LONGEST].split())
    line, denied = _NEVER.subn(" not ok ", line)
    line = " ".join(_NOTHING.sub(" ", line).split())
    begins = _BEGINS.match(line)
    if begins:
        return Alarm.RECOVERY if begins["good"] else Alarm.PROBLEM
    ends = [match.lastgroup for match in _ENDS.finditer(line)]
    if ends:
        return Alarm.RECOVERY if ends[-1] == "good" else Alarm.PROBLEM
    if denied:
        return Alarm.PROBLEM
    if _ENDED.search(line):
        return Alarm.RECOVERY
    if _TROUBLE.search(line):
        return Alarm.PROBLEM
    return Alarm.RECOVERY if _STATES.search(line) else Alarm.NONE
