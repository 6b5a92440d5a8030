"""Whether a text says that something broke or that it works again, by its words alone.

For mails that no recogniser knows. What is asked first counts most: the state that a line
begins with ("RESOLVED: …", "[FIRING:2] …"), the state that it ends up in ("… is DOWN", "OK ->
CRITICAL"), then words of ending ("the problem was resolved"), then words of trouble. Short
words ("up", "down", "ok") are states only where they stand like one: "follow up" says nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache

from relay.model import Alarm

_LONGEST = 500  # characters of a line
_LINES = 5  # of the body that say something at all
_MOST = 4000  # characters among which they are

_LEFT, _RIGHT = r"(?<![\w.-])", r"(?![\w-]|\.\w)"  # a word, not a piece of systemd-resolved.service

_NEVER = re.compile(
    rf"{_LEFT}(?:(?:not|never|no|cannot|can't|isn't|wasn't|hasn't|couldn't)"
    r"(?: (?:be|been|yet|fully|longer)){0,2}[ -](?:ok|okay|up|resolved|recovered|recovery|cleared|restored"
    r"|fixed|normal|back to normal|ready|responding|reachable)|notready|stopped responding"
    r"|(?:не|нет)(?: (?:был[аои]?|до конца|полностью|удалось)){0,2} (?:восстанов\w{0,8}|реш[её]н\w{0,2}"
    r"|устран\w{0,6}|исправл\w{0,5}|в норме|доступ\w{0,4}|работает|отвечает)"
    r"|не(?: (?:було|вдалося)){0,2} (?:відновлен\w{0,2}|вирішен\w{0,2}|усунен\w{0,2}|працює|відповідає"
    r"|доступн\w{0,2})"
    r"|nicht(?: (?:mehr|wieder)){0,2} (?:erreichbar|verfügbar|behoben|wiederhergestellt|gelöst))"
    rf"{_RIGHT}",
    re.IGNORECASE,
)
_NOTHING = re.compile(
    rf"{_LEFT}(?:(?:(?:errors?|failures?|warnings?|ошибк[аи])\s?[:=-]\s?(?=(?:0|zero)\s))?"
    r"(?:no|0|zero|without|without any|no more|нет|без|keine|ohne|немає)"
    r" (?:new |further |active |активных |новых )?(?:problems?|errors?|failures?|failed|warnings?|alerts?"
    r"|alarms?|проблем|ошибок|сбоев|аварий|предупреждений|помилок|fehler|warnungen)"
    r"|(?:problems?|errors?|failures?|failed|warnings?|alerts?|проблем|ошибок)\s?[:=]\s?0)"
    rf"{_RIGHT}",
    re.IGNORECASE,
)
_FORMER = (
    r"(?:old|previous(?:ly)?|original|prior|former|предыдущ\w{1,3}|прежн\w{1,3}|стар(?:ое|ый|ая)"
    r"|попередн\w{1,3}|vorherig\w{1,2}|last (?=(?:state|status|problem|alert|alarm|check|change)\b))"
)
_BEFORE = re.compile(rf"[\W_]{{0,12}}{_FORMER}\b[^:=]{{0,40}}[:=]", re.IGNORECASE)
"""A line of the body that tells what was before."""
_WAS = re.compile(
    rf"{_LEFT}{_FORMER} (?:state|status|severity|состояние|статус|стан|zustand)\b\s?(?:[:=-]|was|is)?\s?"
    r"\w{1,30}",
    re.IGNORECASE,
)
_NOT_ALL = re.compile(
    rf"{_LEFT}(?:not (?:all|every\w{{0,5}})|не (?:все|всі)|nicht alle){_RIGHT}", re.IGNORECASE
)

_GOOD = (
    r"(?:ok|okay|up(?! (?:to|tomorrow|next|for)\b)|online|resolved|recovered|recovery|cleared|restored|normal"
    r"|firing:0|healthy|back to normal|responding(?! (?:slow|late|with|in)\w{0,3}\b)|reachable"
    r"|восстановлен[аоы]?|восстановление|восстановил(?:ся|ась|ось|ись)|реш[её]н[аоы]?"
    r"|устран[её]н[аоы]?|исправлен[аоы]?|норма|норме|в норме|доступ(?:ен|на|но|ны)|отвечает|отбой|ок"
    r"|відновлен(?:ий|[аоі])?|доступн(?:ий|[аеі])|відбій"
    r"|erreichbar|verfügbar|behoben|wiederhergestellt|entwarnung)"
)
_BAD = (
    r"(?:problem|critical|down|warning|firing(?::[1-9][0-9]{0,5})?|alerting|unreachable|unavailable|offline"
    r"|degraded|failed|failing|failure|error|unknown|crashed|not ok|no data"
    r"|проблема|авария|сбой|ошибка|отказ|недоступ(?:ен|на|но|ны)|не отвечает|предупреждение|упал[аои]?"
    r"|аварія|збій|помилка|недоступн(?:ий|[аеі])|попередження|fehlgeschlagen|ausgefallen)"
)
_BEGINS = re.compile(
    r"[\W_]{0,12}(?:"
    rf"(?:(?P<good>{_GOOD})|(?P<bad>{_BAD}))"
    r"(?!\s?(?:[-=]>|→|»))(?=\s?[\]:|*)}>-]|\s[^\w\s]|\Z| (?:service|host) alert)"
    r")",
    re.IGNORECASE,
)
_ENDS = re.compile(
    r"(?:(?<![\w.-])(?:(?<!what )is|are|now|(?P<to>to)|became|went|still|again|remains?|state|status|статус"
    r"|состояние|теперь|снова|опять|стал[аои]?|стан|знову|wieder|ist|sind)"
    r"(?:\s?[:=]\s?|\s)|(?P<arrow>(?:[-=]>|→|»)\s?))"
    r"(?:(?:now|again|back|still|currently|in|been|снова|опять|все ещё|всё ещё|в|wieder|знову)\s){0,3}"
    r"[\"'«*\[]{0,2}"
    rf"(?:(?P<good>{_GOOD})|(?P<bad>{_BAD})){_RIGHT}",
    re.IGNORECASE,
)
_STANDS = re.compile(
    r"(?:(?<![\w.-])(?:links?|ports?|interfaces?|hosts?|nodes?|servers?|services?|sites?|tunnel|vpn|session"
    r"|(?:neighbou?r|peer|link|port|interface|tunnel)\s[\w.:/-]{1,45})\s|\[[^\w\]]{0,6})"
    rf"(?:(?P<good>up(?! (?:to|for)\b))|(?P<bad>down)){_RIGHT}",
    re.IGNORECASE,
)
"""What stands up or down without a verb: "link down", "[🔴 Down]"."""
_YET = re.compile(
    rf"{_LEFT}(?:still|remains?|again|вс[её] ещ[её]|по-прежнему|снова|immer noch|noch immer|досі)"
    rf" (?:in |not )?{_BAD}{_RIGHT}",
    re.IGNORECASE,
)
_BESIDES = re.compile(
    rf"{_LEFT}(?:[1-9][0-9]{{0,8}} (?:[^\W\d]{{1,20}} ){{0,2}}"
    r"(?:failed|errors?|failures?|lost|ошибок|ошибки)"
    r"|(?<!was )(?<!were )(?<!from )(?<!after )(?<!since )(?<!in )"
    r"(?-i:CRITICAL|DOWN|FAILED|FATAL|ERROR|ALARM|PROBLEM|АВАРИЯ|ОШИБКА))"
    rf"{_RIGHT}",
    re.IGNORECASE,
)
"""Trouble that stands behind a good state, and is not what it was that ended."""
_ENDED = re.compile(
    rf"{_LEFT}(?:resolved|recovered|cleared|restored|back to normal|back online|firing:0|reconnected"
    r"|(?:responding|reachable|available) again"
    r"|восстановлен[аоы]?|восстановил(?:ся|ась|ось|ись)|реш[её]н[аоы]?|устран[её]н[аоы]?|исправлен[аоы]?"
    r"|в норме|в штатном режиме|пришл[аои] в норму|верну\w{1,6} в норму|тревога снята|отбой"
    r"|снова (?:доступ(?:ен|на|но|ны)|отвечает|работает)"
    r"|відновлен(?:ий|[аоі])?|відновився|вирішен[аоі]?|усунен[аоі]?|відбій"
    r"|знову (?:доступн(?:ий|[аеі])|працює)"
    r"|behoben|wiederhergestellt|entwarnung|wieder (?:erreichbar|verfügbar|online|da))"
    rf"{_RIGHT}(?!\s?\?)",
    re.IGNORECASE,
)
_TROUBLE = re.compile(
    rf"{_LEFT}(?:(?:problems?|critical|warnings?|alerts?|alarms?|errors?)"
    r"(?! (?:name|id|number|type|time|duration|source|url)\b)"
    r"|firing|alerting|failed|fails|failing|failure|failures|fatal"
    r"|unreachable|unavailable|degraded|offline|crashed|outage|timed out|disconnected|unresponsive|unable to"
    r"|on battery|battery (?:is )?low|low battery|power (?:lost|loss)|lost (?:input )?power"
    r"|connection lost|lost connection|no (?:response|heartbeat|answer|reply|signal|contact) from"
    r"|low (?:disk|free) space|disk space (?:is )?(?:critically )?low|(?:out of|no) (?:disk )?space"
    r"|disk (?:is )?(?:almost )?full|(?:leak|smoke|fire|water|motion|intrusion|flood) detected"
    r"|(?:host|server|node|vm|system|machine|guest) (?:[\w.:-]{1,40} )?(?:has |was |is )?shut down"
    r"|high (?:cpu|memory|load|temperature|latency)|crashloopbackoff|oomkilled"
    r"|проблем[аыу]?|авари[яию]|сбо[йяи]|ошибк[аиу]|отказ|недоступ(?:ен|на|но|ны)|не отвечает|тревога"
    r"|предупреждени[ея]|упал[аои]?|не работает|не удалось|превышен[аоы]?|с ошибк(?:ой|ами)|протечка"
    r"|пропал[аои]?|нет (?:связи|доступа|питания|ответа)|потеря|потерян[аоы]?|(?:выше|ниже) нормы"
    r"|заполнен[аоы]? (?:на|более|почти)|заканчивается|сработал[аои]?"
    r"|аварі[яюї]|збій|збо[їю]|помилк[аиу]|недоступн(?:ий|[аеі])|тривога"
    r"|немає (?:зв.?язку|доступу|живлення|відповіді)|втра(?:та|чено)"
    r"|störung(?:en)?|ausfall|ausgefallen|fehlgeschlagen|fehler|warnung(?:en)?|\w{0,20}alarm|fast voll"
    r"|(?<!was )(?<!were )(?-i:DOWN))"
    rf"{_RIGHT}",
    re.IGNORECASE,
)
_STATES = re.compile(rf"{_LEFT}(?:(?-i:OK|UP|RECOVERY|ОК|НОРМА|ВОССТАНОВЛЕНИЕ)|норма){_RIGHT}")
_SIGNS = "\"'»*] "


def alarm_of(subject: str, body: str) -> Alarm:
    """What the subject says of it or, where it says nothing, the first lines of the body.

    A line of trouble counts more than one that says that all is well, and one that tells what
    was before not at all.
    """
    if said := _judged(subject[:_LONGEST]):
        return said
    lines = [line for line in body[:_MOST].split("\n") if line.strip()][:_LINES]
    found = {_judged(line[:_LONGEST]) for line in lines if not _BEFORE.match(line)}
    return next((alarm for alarm in (Alarm.PROBLEM, Alarm.RECOVERY) if alarm in found), Alarm.NONE)


@lru_cache(maxsize=256)  # in a storm the same lines come again and again
def _judged(line: str) -> Alarm:
    line = " ".join(line.split())
    line, denied = _NEVER.subn(" not ok ", line)
    line = " ".join(_WAS.sub(" ", _NOTHING.sub(" ", line)).split())
    begins = _BEGINS.match(line)
    if begins:
        return Alarm.RECOVERY if begins["good"] and not _YET.search(line) else Alarm.PROBLEM
    if alarm := _states(line):
        return alarm
    if denied:
        return Alarm.PROBLEM
    if _ENDED.search(line):
        return Alarm.RECOVERY
    if _TROUBLE.search(line):
        return Alarm.PROBLEM
    return Alarm.RECOVERY if _STATES.search(line) else Alarm.NONE


def _states(line: str) -> Alarm:
    """What the states come to that the line ends up in; of a good and a bad one the bad one counts.

    The one from which an arrow or a "to" leads is over.
    """
    found: list[re.Match[str]] = []
    for match in _ENDS.finditer(line):
        leads = match["arrow"] or match["to"]
        if found and leads and not line[found[-1].end() : match.start()].strip(_SIGNS):
            found.pop()
        found.append(match)
    found += _STANDS.finditer(line)
    if not found:
        return Alarm.NONE
    if any(match["bad"] for match in found) or _NOT_ALL.search(line):
        return Alarm.PROBLEM
    besides = _BESIDES.search(line, max(match.end() for match in found))
    return Alarm.PROBLEM if besides else Alarm.RECOVERY
