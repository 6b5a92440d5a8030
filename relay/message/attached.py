"""Which files a channel takes: how many, how large, of what kinds, and beside what.

The limits are those of the provider's page on sending; `channels` says which rule is whose.
Types are those that were sniffed, not those that the mail claims.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relay import replies
from relay.model import File
from relay.replies import Reply

MB = 1 << 20
MAIL_INLINE_TOTAL = 15 * MB
"""Files of one mail over this in all travel as links to the provider's site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRule:
    """Which files a channel takes. Zero means that the provider names no limit.

    `kinds` maps an extension to the sniffed types that may bear it, none meaning any type;
    without `kinds` every file goes. A file without an extension goes by its type alone:
    machines send recordings without names.
    """

    max_count: int = 0
    max_size: int = 0
    total: int = 0  # over this in all, files travel as links
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def check(self, files: Sequence[File]) -> Reply | None:
        """The reply that names the first file that can't go, None where all can."""
        for number, file in enumerate(files, start=1):
            if not self._fits(file):
                kinds = ", ".join(sorted(self.kinds))
                return replies.reply(
                    554, "5.6.1", f"the file {_quoted(file)} can't go this way: send {kinds}"
                )
            if self.max_size and file.size > self.max_size:
                limit = f"a file may have {self.max_size // MB} MB"
                return replies.reply(552, "5.3.4", f"the file {_quoted(file)} is too large: {limit}")
            if self.max_count and number > self.max_count:
                limit = f"a message takes {self.max_count}"
                return replies.reply(552, "5.3.4", f"the file {_quoted(file)} is one too many: {limit}")
        return None

    def note(self, files: Sequence[File]) -> str:
        """What the sender should know about files that do go, "" mostly."""
        if not self.total or sum(file.size for file in files) <= self.total:
            return ""
        return f"the files are over {self.total // MB} MB in all: what is above that travels as links"

    def _fits(self, file: File) -> bool:
        extension = _extension(file)
        if not self.kinds:
            return True
        if not extension:
            return any(file.type in types for types in self.kinds.values())
        types = self.kinds.get(extension)
        return types is not None and (not types or file.type in types)


def _extension(file: File) -> str:
    """The extension in lower case; what follows a dot and holds a space is none."""
    stem, dot, extension = file.name.rpartition(".")
    return extension.lower() if dot and stem and " " not in extension else ""


def _quoted(file: File) -> str:
    name = file.name or "without a name"
    return f'"{name}"' if len(name) <= 100 else f'"{name[:99]}…"'


_ANY: frozenset[str] = frozenset()
_PICTURES = {
    "jpg": frozenset({"image/jpeg"}),
    "jpeg": frozenset({"image/jpeg"}),
    "gif": frozenset({"image/gif"}),
    "png": frozenset({"image/png"}),
}
_SOUNDS = {
    "wav": frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"}),
    "mp3": frozenset({"audio/mpeg", "audio/mp3"}),
}
_DOCUMENTS = "doc docx rtf dotx dot odf fodt odt txt info pdf xps eps pdax xlsx xlsm fods ods csv xltx"
_VIDEOS = ("3gp", "m4v", "mov", "mp4")
MAIL = FileRule(max_count=20, max_size=10 * MB, total=MAIL_INLINE_TOTAL)
CALL = FileRule(max_count=4, max_size=5 * MB, kinds=_SOUNDS)
MMS = FileRule(kinds=_PICTURES | _SOUNDS | dict.fromkeys(("txt", "amr", "mid", "mp4", "3gp"), _ANY))
VIBER = FileRule(
    max_count=2,  # a picture and a video
    max_size=MB,
    kinds=_PICTURES | dict.fromkeys((*_DOCUMENTS.split(), *_VIDEOS), _ANY),
)
BIN = FileRule(max_count=1)


def viber_mix(files: Sequence[File], *, text: bool) -> tuple[int, ...]:
    """Which of these files (by position) one Viber message can carry, with words or without.

    The provider's page knows eight types: words, a picture, a video with the picture that stands
    for it, each of the latter two with words or without, and a document that stands alone. A
    button counts as words. (Of words with a picture and no button the page's list is silent; its
    test templates have them.)
    """
    pictures = [n for n, file in enumerate(files) if _sort(file) == "picture"][:1]
    videos = [n for n, file in enumerate(files) if _sort(file) == "video"][:1]
    if pictures:
        return tuple(sorted(pictures + videos))
    documents = [n for n, file in enumerate(files) if _sort(file) == "document"][:1]
    return () if text else tuple(documents)


def _sort(file: File) -> str:
    if _extension(file) in _VIDEOS or file.type.startswith("video/"):
        return "video"
    return "picture" if file.type.startswith("image/") else "document"
