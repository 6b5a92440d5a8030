"""The texts of parts put together: one after another, files' marks on lines between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from relay import model
from relay.message import markup, places

_MARK_END = model.mark(0)[-1]


@dataclass(frozen=True, slots=True)
class Body:
    """The text of a part and of all below it, in the two ways a mail may say it."""

    plain: str = ""
    html: str = ""
    mark: str = ""  # of a part that is a file, or of several, on lines of their own


def joined(found: Iterable[Body]) -> Body:
    """Bodies one after another; marks stand on lines of their own."""
    bodies = [body for body in found if body.plain.strip() or body.html or body.mark]
    if len(bodies) == 1:
        return bodies[0]
    if bodies and all(body.mark for body in bodies):
        return Body(mark="\n".join(body.mark for body in bodies))
    whole = not any(body.html and not body.plain.strip() for body in bodies)
    plain = _lines([(body.mark, body.plain.strip("\n")) for body in bodies]) if whole else ""
    if not any(body.html for body in bodies):
        return Body(plain=plain)
    marked_up = [body.mark or markup.inside(body.html) or _marked_up(body.plain) for body in bodies]
    return Body(plain=plain, html="\n".join(marked_up))


def words(body: Body) -> str:
    """What the body says, on one line and in small letters; "" where it only shows files."""
    text = places.without(body.plain).strip() or places.without(markup.strip(body.html))
    return " ".join(text.split()).casefold()


def _lines(pieces: list[tuple[str, str]]) -> str:
    """Texts with an empty line between them, marks on lines of their own."""
    found = ""
    for mark, text in pieces:
        gap = "" if not found else "\n" if mark or found.endswith(_MARK_END) else "\n\n"
        found += gap + (mark or text)
    return found


def _marked_up(text: str) -> str:
    return "<div>" + escape(text.strip("\n"), quote=False).replace("\n", "<br>\n") + "</div>"
