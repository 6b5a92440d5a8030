"""The part of a report that machines read: message/delivery-status (RFC 3464, RFC 6533). Pure.

One block of fields about the mail, then one about each recipient. Every value passes through `fields`.
"""

from __future__ import annotations

from relay.report import fields, forwarded
from relay.report.values import Action, Entry, Report


def kind(report: Report) -> str:
    """The subtype of this part, which is the report's type too (RFC 6522 section 3)."""
    plain = all(f"{each.address}{each.orcpt}".isascii() for each in report.entries)
    return "global-delivery-status" if report.utf8 and not plain else "delivery-status"


def part(report: Report) -> bytes:
    """The part with its header."""
    subtype = kind(report)
    wide = subtype.startswith("global")
    blocks = [_per_message(report), *(_per_recipient(entry, wide=wide) for entry in report.entries)]
    return fields.part(f"message/{subtype}", "8bit" if wide else "7bit", "\r\n".join(blocks).encode())


def _per_message(report: Report) -> str:
    """RFC 3464 section 2.2, and what the client wished of time (RFC 2852 section 5, RFC 4865 5.1.2).

    The envelope id is the client's to the last blank, so it is not folded.
    """
    envid = fields.plain(fields.decode_xtext(report.envid))
    return _block(("Original-Envelope-Id", envid), fold=False) + _block(
        ("Reporting-MTA", f"dns; {fields.host(report.hostname) or 'localhost'}"),
        ("Arrival-Date", fields.date(report.arrival) if report.arrival else ""),
        ("Deliver-By-Date", fields.date(report.deliver_by) if report.deliver_by else ""),
        ("Future-Release-Request", fields.plain(report.hold)),
        ("X-Queue-Id", fields.plain(report.mail_id)),
    )


def _per_recipient(entry: Entry, *, wide: bool) -> str:
    """RFC 3464 section 2.3, and what only this provider has to say."""
    remote = fields.host(entry.remote)
    who, said = forwarded.diagnostic(entry.code, entry.text)
    attempt, until = entry.last_attempt, entry.will_retry_until
    addresses = _block(
        ("Original-Recipient", fields.original_address(entry.orcpt, wide=wide)),
        ("Final-Recipient", fields.typed_address(entry.address, wide=wide)),
        fold=False,
    )
    return addresses + _block(
        ("Action", entry.action.value),
        ("Status", fields.status(entry.status, _STAND_INS[entry.action])),
        ("Remote-MTA", f"dns; {remote}" if remote else ""),
        ("Diagnostic-Code", f"{who}; {fields.encoded(said)}" if said else ""),
        ("Last-Attempt-Date", fields.date(attempt) if attempt else ""),
        ("Will-Retry-Until", fields.date(until) if until and entry.action is Action.DELAYED else ""),
        ("X-SMSC-Phone", fields.plain(entry.phone)),
        ("X-SMSC-Id", fields.plain(entry.id)),
        ("X-Client-Id", fields.plain(entry.label)),
        ("X-SMSC-Parts", str(entry.parts) if entry.parts > 0 else ""),
        ("X-SMSC-Cost", fields.plain(entry.cost)),
    )


_STAND_INS = {
    Action.FAILED: "5.0.0",
    Action.DELAYED: "4.0.0",
    Action.RELAYED: "2.0.0",
    Action.DELIVERED: "2.0.0",
    Action.EXPANDED: "2.0.0",
}


def _block(*lines: tuple[str, str], fold: bool = True) -> str:
    return "".join(fields.field(name, value, fold=fold) for name, value in lines if value)
