"""PGP in the text of a mail itself (RFC 9580 sections 6 and 7): signed words bared, closed ones named.

Nothing is checked and nothing opened. Lines are looked at once each.
"""

from __future__ import annotations

import re

_SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = "-----BEGIN PGP SIGNATURE-----"
_SIGNATURE_END = "-----END PGP SIGNATURE-----"
_CLOSED = "-----BEGIN PGP MESSAGE"  # "-----", or ", PART 1/2-----"
_CLOSED_END = "-----END PGP MESSAGE"
_ARMOUR = ("Version:", "Comment:", "Hash:", "Charset:", "MessageID:")
_OCTETS = re.compile(r"[A-Za-z0-9+/]{1,100}={0,2}|=[A-Za-z0-9+/]{4}")


def bare(text: str, instead: str) -> tuple[str, bool]:
    """The text without what PGP wrote around it; `instead` of each encrypted message, and whether one was."""
    if "-----BEGIN PGP " not in text:
        return text, False
    lines = text.split("\n")
    kept: list[str] = []
    at, signed, closed = 0, False, False
    lost: set[str] = set()  # ends that do not come any more, so that none is looked for twice
    while at < len(lines):
        line = lines[at].rstrip()
        if line == _SIGNED and not signed:
            at, signed = _past_hashes(lines, at + 1), True
        elif line == _SIGNATURE and signed:
            at, signed = _past(lines, at, _SIGNATURE_END, lost), False
        elif line.startswith(_CLOSED) and line.endswith("-----"):
            at, closed = _past(lines, at, _CLOSED_END, lost), True
            kept.append(instead)
        else:
            kept.append(lines[at].removeprefix("- ") if signed else lines[at])
            at += 1
    return "\n".join(kept), closed


def _past_hashes(lines: list[str], at: int) -> int:
    """Beyond the armour's headers and the empty line after them; a text that has none begins at once."""
    start = at
    while at < len(lines) and lines[at].startswith(
        ("Hash:", "Charset:", "Comment:", "Version:", "NotDashEscaped:")
    ):
        at += 1
    return at + 1 if at < len(lines) and not lines[at].strip() else start


def _past(lines: list[str], at: int, mark: str, lost: set[str]) -> int:
    """Beyond the line that begins with `mark`; to the armour's last one where that was lost.

    Lines are armour below its headers and an empty line only: all else is somebody's words.
    """
    if mark not in lost:
        for end in range(at + 1, len(lines)):
            if lines[end].startswith(mark):
                return end + 1
        lost.add(mark)
    end = at + 1
    while end < len(lines) and lines[end].startswith(_ARMOUR):
        end += 1
    if end < len(lines) and not lines[end].strip():
        end += 1
        while end < len(lines) and _OCTETS.fullmatch(lines[end].rstrip()):
            end += 1
    return end
