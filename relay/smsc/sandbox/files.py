"""Which files of a request the provider takes, channel by channel. Pure.

Source: the vendor's pages on e-mail, calls and Viber. Where the vendor names no limits
(MMS and the rest) every file is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relay.smsc.sandbox.model import File, Kind, RefusalError

if TYPE_CHECKING:
    from collections.abc import Sequence

MB = 2**20
MAIL_FILES, MAIL_SIZE, MAIL_TOTAL = 20, 10 * MB, 15 * MB
CALL_FILES, CALL_SIZE = 4, 5 * MB
VIBER_SIZE = MB
CALL_TYPES = frozenset({"wav", "mp3"})
VIBER_TYPES = frozenset(
    {"jpg", "jpeg", "gif", "png", "3gp", "m4v", "mov", "mp4", "doc", "docx", "rtf", "dotx", "dot"}
    | {"odf", "fodt", "odt", "txt", "info", "pdf", "xps", "eps", "pdax", "xlsx", "xlsm", "fods"}
    | {"ods", "csv", "xltx"}
)


class Taken(NamedTuple):
    """The files that go with a message, and the names of those that go as links."""

    files: tuple[File, ...] = ()
    linked: tuple[str, ...] = ()


def taken(files: Sequence[File], kind: Kind) -> Taken:
    """Return the files a kind of message takes; refuse or leave out as the vendor does."""
    if kind is Kind.MAIL:
        if len(files) > MAIL_FILES or any(len(file.data) > MAIL_SIZE for file in files):
            raise RefusalError(1)
        return Taken(tuple(files), _links(files))
    if kind is Kind.CALL:
        # Too large, too many or of another type: left out, not refused.
        fit = [file for file in files if len(file.data) <= CALL_SIZE and _type(file) in CALL_TYPES]
        return Taken(tuple(fit[:CALL_FILES]))
    if kind is Kind.VIBER:
        if any(len(file.data) > VIBER_SIZE or _type(file) not in VIBER_TYPES for file in files):
            raise RefusalError(1)
        return Taken(tuple(files))
    return Taken(tuple(files))


def _links(files: Sequence[File]) -> tuple[str, ...]:
    """Name the files that do not fit into the 15 MB of one mail any more."""
    room = MAIL_TOTAL
    linked = []
    for file in files:
        if len(file.data) <= room:
            room -= len(file.data)
        else:
            linked.append(file.name)
    return tuple(linked)


def _type(file: File) -> str:
    return file.name.rpartition(".")[2].lower()
