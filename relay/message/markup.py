"""HTML by one linear scan, without a tree: what goes on by mail, pictures found, tags taken away.

A tag is what stands between `<` and `>`; nothing here judges nesting, so that no input is too
deep or too broken for it. `relay.message.html` reads HTML for phones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from urllib.parse import unquote

from relay import model
from relay.message import charsets

_LONGEST_TAG = 8 * 1024
_IMG = re.compile(r"<img(?=[\s/>])", re.IGNORECASE)
_CID_SOURCE = re.compile(r"""\bsrc\s{0,9}=\s{0,9}["']?\s{0,9}cid:([^"'\s>]{1,400})""", re.IGNORECASE)
_CID = re.compile(r"""\bcid:([^"'\s>)]{1,400})""", re.IGNORECASE)
_PICTURE = re.compile(r"""data:image/[a-z0-9.+-]{1,40};base64,[A-Za-z0-9+/=\s%]*""", re.IGNORECASE)
_ALT = re.compile(r"""\balt\s{0,9}=\s{0,9}(?:"([^"]{1,400})"|'([^']{1,400})')""", re.IGNORECASE)
_REFERENCE = re.compile(r"&#(?:(?P<number>[0-9]++)|x(?P<hex>[0-9a-f]++));?", re.IGNORECASE)
_LONGEST_NUMBER = 7  # digits of a character that there is, without zeros in front
_QUOTE = re.compile(r"""=\s{0,9}(["'])""")
_DROPPED = re.compile(
    r"<(?:!--|[!?]|/?(script|style|title|xml|html|head|body|meta|link|base)(?=[\s/>]))", re.IGNORECASE
)
_STRIPPED = re.compile(r"<(?:!--|[!?]|/?([a-z][a-z0-9]{0,20})(?=[\s/>:]))", re.IGNORECASE)
_WITH_CONTENT = {"script", "style", "title", "xml"}
_UNREAD = {"script", "style", "title", "head", "template", "noscript", "xml"}
_LINES = {"br", "p", "div", "tr", "li", "table", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "pre",
          "blockquote", "section", "article", "header", "footer", "dt", "dd"}  # fmt: skip
_CELLS = {"td", "th"}


@dataclass(frozen=True, slots=True)
class Placed:
    """HTML whose pictures became marks: `shown` by a tag, `used` in some other way only."""

    html: str
    shown: frozenset[int]
    used: frozenset[int]


def place(html: str, cids: Mapping[str, int]) -> Placed:
    """Replace each `<img>` that shows a file of the mail by the file's mark."""
    found = [(start, end, cids[cid]) for start, end, cid in _images(html) if cid in cids]
    shown = frozenset(number for _, _, number in found)
    pieces, at = [], 0
    for start, end, number in found:
        pieces += [_unmarked(html[at:start], shown), model.mark(number)]
        at = end
    pieces.append(_unmarked(html[at:], shown))
    rest = "".join(pieces[::2])
    used = {cids[name] for each in _CID.finditer(rest) if (name := _name(each[1])) in cids}
    return Placed("".join(pieces), shown, frozenset(used - shown))


def _unmarked(text: str, numbers: frozenset[int]) -> str:
    """The text without the marks of files that are shown elsewhere."""
    return re.sub(model.MARK, lambda found: "" if int(found[1]) in numbers else found[0], text)


def _images(html: str) -> Iterator[tuple[int, int, str]]:
    at = 0
    while found := _IMG.search(html, at):
        at = end = tag_end(html, found.end())
        source = _CID_SOURCE.search(html, found.start(), end)
        if source:
            yield found.start(), end, _name(source[1])


def _name(cid: str) -> str:
    return unquote(unescaped(cid))


def tag_end(html: str, at: int) -> int:
    """Where the tag that goes on at `at` ends, `at` where it does not; a quoted `>` is none."""
    limit = min(len(html), at + _LONGEST_TAG)
    first = html.find(">", at, limit)
    end, spot = first, at
    while end >= 0 and (quote := _QUOTE.search(html, spot, end)):
        closing = html.find(quote[1], quote.end(), limit)
        end = html.find(">", closing, limit) if closing >= 0 else -1
        spot = closing + 1
    return max(first, end) + 1 or at


def honest(html: str) -> str:
    """The HTML without references to characters that no text may hold: a mark can't be forged.

    In their place stands U+FFFD, not nothing: what was around them must not join to another one.
    Zeros in front go, since what is longer than a number of a character confuses those who read it.
    """
    return _REFERENCE.sub(_kept, html)


def unescaped(html: str) -> str:
    """The text with the characters that references name, as far as a text may hold them."""
    return unescape(honest(html)) if "&" in html else html


def _kept(found: re.Match[str]) -> str:
    digits = (found["number"] or found["hex"]).lstrip("0")
    if len(digits) > _LONGEST_NUMBER:
        return "\ufffd"
    short = f"&#{'x' if found['hex'] else ''}{digits or 0};"
    if not charsets.clean(unescape(short)).strip("\ufffd"):
        return "\ufffd"
    return short if len(short) < len(found[0]) else found[0]


def without_pictures(html: str) -> str:
    """The HTML without the pictures that it holds itself, which are most of its length."""
    return _PICTURE.sub("", html)


def inside(html: str, *, styles: bool = True) -> str:
    """What stands inside the body, as it is; scripts, comments and the head go, styles may stay."""
    pieces, at, lost = [], 0, set[str]()
    while found := _DROPPED.search(html, at):
        name = (found[1] or "").lower()
        end = _after(html, found, name if name in _WITH_CONTENT else "", lost)
        pieces.append(html[at : end if styles and name == "style" else found.start()])
        at = end
    return "".join([*pieces, html[at:]]).strip()


def for_mail(html: str) -> str:
    """What goes on by mail: the inside of the body, without pictures of parts that are not there."""
    html = inside(html)
    pieces, at = [], 0
    for start, end, _ in _images(html):
        pieces.append(html[at:start])
        at = end
    return "".join([*pieces, html[at:]]).strip()


def _after(html: str, found: re.Match[str], whole: str, lost: set[str]) -> int:
    """Where what begins at `found` is over: a comment, a tag, or the whole element `whole`.

    `lost` keeps which ends do not come any more, so that nothing is looked for twice.
    """
    if found[0] == "<!--":
        return _beyond(html, "-->", found.end() - 2, lost)
    end = tag_end(html, found.end())
    if not whole or html[found.start() + 1] == "/" or html[end - 2 : end] == "/>" or whole in lost:
        return end
    closing = re.compile(rf"</{whole}(?=[\s/>])", re.IGNORECASE).search(html, end)
    if closing:
        return tag_end(html, closing.end())
    lost.add(whole)
    return end


def _beyond(html: str, mark: str, at: int, lost: set[str]) -> int:
    end = html.find(mark, at) if mark not in lost else -1
    if end < 0:
        lost.add(mark)
        return at + 2
    return end + len(mark)


def descriptions(html: str) -> Iterator[str]:
    """What the pictures of an HTML say instead of themselves (`alt`), in order."""
    for found in _IMG.finditer(html):
        alt = _ALT.search(html, found.end(), tag_end(html, found.end()))
        if alt:
            yield unescaped(alt[1] if alt[1] is not None else alt[2])


def strip(html: str) -> str:
    """The text of any HTML, the simple way: tags gone, blocks on lines of their own."""
    pieces, at, lost = [], 0, set[str]()
    while found := _STRIPPED.search(html, at):
        pieces.append(html[at : found.start()])
        name = (found[1] or "").lower()
        pieces.append("\n" if name in _LINES else " " if name in _CELLS else "")
        at = _after(html, found, name if name in _UNREAD else "", lost)
    return unescaped("".join([*pieces, html[at:]]))
