"""MAIL and RCPT lines are read: addresses and parameters, strictly, into the nouns of `model`.

What a phone number is made of must survive: an unquoted parenthesis is refused with a hint,
never dropped as a comment, and no character is ever repaired. Cases are kept where they may
mean something (addresses, ENVID, ORCPT). Whatever is refused is refused with the words that
would have been right.

RFC 5321 4.1.2 (paths) and 4.5.3.1 (sizes), RFC 1870 (SIZE), RFC 6152 (BODY), RFC 6531
(SMTPUTF8), RFC 3461 (RET, ENVID, NOTIFY, ORCPT), RFC 4954 5 (AUTH=); `timing` has those
about time and rank. Of the sizes the 64
octets of a local part are not enforced: they are what a server must take at least, and both
rewritten senders (SRS, VERP) and numbers with several +options outgrow them.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from relay.model import Envelope, Notify, Recipient
from relay.replies import BAD_RECIPIENT, BAD_SENDER, TOO_LARGE, Reply, reply
from relay.smtp import timing

PATH_SIZE = 256  # octets with brackets, RFC 5321 4.5.3.1.3; keeps a domain below its 255, too

_UTF8 = "\x80-\ud7ff\ue000-\U0010ffff"  # everything beyond ASCII but surrogates: those were no UTF-8
_ATEXT = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{_UTF8}-]"
_LOCAL = rf'{_ATEXT}+(?:\.{_ATEXT}+)*|"(?:[ !#-\[\]-~{_UTF8}]|\\[ -~])*"'
_PATH = re.compile(
    rf"<(?:(?P<route>@[^\s<>\":]+):)?(?P<address>(?:{_LOCAL})(?:@(?P<domain>[^\s<>()@\"]+))?)?>(?P<rest> .*)?"
)
_UNQUOTED = re.compile(r'<?[^"<>()\s]*[()\s][^"<>]*>')  # what people write who do not know of quoting
_LABEL = re.compile(rf"[A-Za-z0-9_{_UTF8}](?:[A-Za-z0-9_{_UTF8}-]{{0,61}}[A-Za-z0-9_{_UTF8}])?")

_PARAMETER = re.compile(rf"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~{_UTF8}]+))?")
_XTEXT = r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})"  # RFC 3461 4

# What each parameter's value must look like, and what to write otherwise.
_Rules = dict[str, tuple[re.Pattern[str], str]]
_MAIL: _Rules = {
    "SIZE": (re.compile("[0-9]{1,20}"), "write SIZE=octets"),
    "BODY": (re.compile("7BIT|8BITMIME", re.IGNORECASE), "write BODY=7BIT or BODY=8BITMIME"),
    "SMTPUTF8": (re.compile(""), "SMTPUTF8 takes no value"),
    "RET": (re.compile("FULL|HDRS", re.IGNORECASE), "write RET=FULL or RET=HDRS"),
    "ENVID": (re.compile(f"{_XTEXT}{{1,100}}"), "ENVID takes 1 to 100 characters of xtext, + as +2B"),
    "AUTH": (re.compile(r".+"), "write AUTH=<> or AUTH=mailbox"),
    **timing.RULES,
}
_RCPT: _Rules = {
    "NOTIFY": (
        re.compile("NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY))*", re.IGNORECASE),
        "write NOTIFY=NEVER or some of SUCCESS,FAILURE,DELAY",
    ),
    "ORCPT": (
        re.compile(rf"[A-Za-z0-9][A-Za-z0-9-]*;(?:{_XTEXT}|[{_UTF8}]){{1,500}}"),
        "write ORCPT=rfc822;address in xtext, + as +2B",
    ),
}

_NEEDS_EHLO = reply(555, "5.5.4", "parameters need EHLO first")
_NEEDS_UTF8 = reply(553, "5.6.7", "an address beyond ASCII needs SMTPUTF8 on MAIL")  # RFC 6531 3.5
_LONG_SENDER = reply(501, "5.1.7", f"sender address too long, {PATH_SIZE} octets at most")
_LONG_RECIPIENT = reply(501, "5.1.3", f"recipient address too long, {PATH_SIZE} octets at most")


def read_mail(argument: str, *, extended: bool, max_size: int, now: int) -> Envelope | Reply:
    """What stands after MAIL, as an envelope; or why not. The null sender is ""."""
    path = _path(argument, "FROM:", "MAIL")
    if isinstance(path, Reply):
        return path
    sender, rest = path
    given = _parameters(rest, _MAIL, extended=extended)
    if isinstance(given, Reply):
        return given
    utf8 = "SMTPUTF8" in given
    if not (utf8 or sender.isascii()):
        return _NEEDS_UTF8
    size = int(given.get("SIZE", "0"))
    if size > max_size:
        return TOO_LARGE  # RFC 1870 6.1: refused before a single octet travels
    wishes = timing.read(given, now)
    if isinstance(wishes, Reply):
        return wishes
    return Envelope(
        sender=sender,
        ret=given.get("RET", "").lower(),
        envid=given.get("ENVID", ""),
        utf8=utf8,
        declared_size=size,
        **wishes,
    )


@lru_cache(maxsize=1024)  # phones on duty come again, and nothing but these words decides
def read_rcpt(argument: str, *, extended: bool, utf8: bool) -> Recipient | Reply:
    """What stands after RCPT, as a recipient; or why not. ORCPT stays in xtext, as it came."""
    path = _path(argument, "TO:", "RCPT")
    if isinstance(path, Reply):
        return path
    address, rest = path
    given = _parameters(rest, _RCPT, extended=extended)
    if isinstance(given, Reply):
        return given
    orcpt = given.get("ORCPT", "")
    if not utf8 and not address.isascii():
        return _NEEDS_UTF8
    if not utf8 and not orcpt.isascii():  # RFC 6533 3
        return _bad("ORCPT", _RCPT)
    notify = given.get("NOTIFY", "")
    return Recipient(
        address=address,
        orcpt=orcpt,
        notify=frozenset(Notify(each) for each in notify.lower().split(",") if each),
    )


@lru_cache(maxsize=1024)
def _path(argument: str, keyword: str, verb: str) -> tuple[str, str] | Reply:
    """The address between the brackets and what follows them."""
    if argument[: len(keyword)].upper() != keyword:
        return reply(501, "5.5.4", f"write {verb} {keyword}<user@domain>")
    argument = argument[len(keyword) :]
    if argument[:1] == " ":  # RFC 5321 4.1.1.2 says it twice
        return reply(501, "5.5.4", f"no space after the colon: write {verb} {keyword}<user@domain>")
    sending = verb == "MAIL"
    found = _PATH.fullmatch(argument)
    if not found:
        return _bad_address(argument, sending=sending)
    address, domain = found["address"] or "", found["domain"] or ""
    if len(argument[: found.end("address") + 1].encode()) > PATH_SIZE:
        return _LONG_SENDER if sending else _LONG_RECIPIENT
    if not _may_stand(address, domain, found["route"] or "", sending=sending):
        return _bad_address(argument, sending=sending)
    return address, found["rest"] or ""


def _may_stand(address: str, domain: str, route: str, *, sending: bool) -> bool:
    """Judge what the pattern alone can't: absent parts, domains, characters no one sees."""
    if not address:
        return sending and not route  # RFC 5321 4.1.1.2: the null path is a sender only
    if not domain:
        return not sending and not route and address.lower() == "postmaster"  # 4.1.1.3
    hops = route.split(",") if route else ()  # a source route is read and dropped, 4.1.1.3 and appendix C
    return address.isprintable() and _domain(domain) and all(h[:1] == "@" and _domain(h[1:]) for h in hops)


@lru_cache(maxsize=1024)
def _domain(domain: str) -> bool:
    if domain[:1] == "[" and domain[-1:] == "]":
        return _literal(domain[1:-1])
    return all(_LABEL.fullmatch(label) for label in domain.split("."))


def _literal(inner: str) -> bool:
    """An address literal of RFC 5321 4.1.3: `[192.0.2.1]` or `[IPv6:2001:db8::1]`."""
    try:
        if inner[:5].lower() == "ipv6:":
            return not ipaddress.IPv6Address(inner[5:]).scope_id
        ipaddress.IPv4Address(inner)
    except ValueError:
        return False
    return True


def _bad_address(argument: str, *, sending: bool) -> Reply:
    if _UNQUOTED.match(argument):
        command = 'MAIL FROM:<"local part"@domain>' if sending else 'RCPT TO:<"8(999)1234567"@domain>'
        status = BAD_SENDER.status if sending else BAD_RECIPIENT.status
        return reply(553, status, f"parentheses and spaces must be quoted, write {command}")
    return BAD_SENDER if sending else BAD_RECIPIENT


def _parameters(rest: str, rules: _Rules, *, extended: bool) -> dict[str, str] | Reply:
    """The parameters by upper-case keyword, values as they came."""
    given: dict[str, str] = {}
    for each in rest.split() if rest else ():
        if not extended:
            return _NEEDS_EHLO
        found = _PARAMETER.fullmatch(each)
        if not found:
            return reply(501, "5.5.4", f"bad parameter {each}")
        keyword, value = found[1].upper(), found[2] or ""
        if keyword not in rules:
            return reply(555, "5.5.4", f"parameter {keyword} not recognised")
        if keyword in given:
            return reply(501, "5.5.4", f"{keyword} given twice")
        if not rules[keyword][0].fullmatch(value):
            return _bad(keyword, rules)
        given[keyword] = value
    return given


def _bad(keyword: str, rules: _Rules) -> Reply:
    return reply(501, "5.5.4", rules[keyword][1])
