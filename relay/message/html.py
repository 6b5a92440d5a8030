"""HTML as a person with a phone reads it, and as it goes on by mail.

Inscriptis lays tables and lists out; before it, what no reader was meant to see goes: hidden
preheaders, tracking pictures, zero-width letters. A link is its text, but one that is called
"click here" shows its address. HTML that is too deep for the tree is stripped of its tags.
"""

from __future__ import annotations

import re

import lxml.html
from inscriptis import Inscriptis
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.html_properties import Display
from inscriptis.model.config import ParserConfig
from inscriptis.model.html_element import HtmlElement
from lxml import etree

from relay import model
from relay.message import html_tables, markup
from relay.message.markup import for_mail

__all__ = ["for_mail", "is_stub", "readable", "shows", "to_text"]

_LARGEST = 256 * 1024  # characters that are laid out
_DEEPEST = 200  # elements inside each other; lxml leaves out what is deeper than 255
_BLOCKS = dict.fromkeys(("summary", "details", "figcaption", "dialog"), HtmlElement(display=Display.block))
_CONFIG = ParserConfig(
    css={**CSS_PROFILES["strict"], **_BLOCKS},
    display_links=False,
    custom_html_tag_handler_mapping=html_tables.HANDLERS,
)
_NO_VALUE = "-"  # in an empty cell of a table of values: else the next column's would stand in its place
_HIDDEN = re.compile(
    r"display\s{0,9}:\s{0,9}none|visibility\s{0,9}:\s{0,9}hidden|mso-hide\s{0,9}:\s{0,9}all"
    r"|font-size\s{0,9}:\s{0,9}[01](?:px|pt)?\s{0,9}(?:;|!|$)|max-height\s{0,9}:\s{0,9}0(?![.\d]*[1-9])"
    r"|opacity\s{0,9}:\s{0,9}0(?:\.0{1,9})?\s{0,9}(?:;|!|$)",
    re.IGNORECASE,
)
_UNREAD = frozenset(("script", "style", "title", "head", "template", "noscript", "xml"))
_INVISIBLE = re.compile(
    "[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u00ad\u034f\u061c\u180e]"
)
_BLANKS = re.compile("[ \t\xa0\u2000-\u200a\u202f\u205f\u3000]+")
_GENERIC = frozenset((
    "here", "click here", "click", "link", "this link", "view", "open", "more", "read more", "see more",
    "details", "view details", "go", "this page", "login", "log in", "тут", "здесь", "ссылка", "ссылке",
    "ссылку", "по ссылке", "по этой ссылке", "сюда", "открыть", "перейти", "подробнее", "подробности",
    "посмотреть", "нажмите здесь", "читать далее", "детали", "посилання", "за посиланням", "тут", "відкрити",
    "перейти за посиланням", "докладніше", "детальніше", "hier", "hier klicken", "mehr", "ici", "cliquez ici",
))  # fmt: skip
_STYLES = re.compile(
    r"\s*(?:@media|[.#]?[a-z][\w-]{0,40})[^{}<>\n]{0,120}\{[^{}<>]{0,400}:[^{}<>]{0,400}\}", re.IGNORECASE
)
"""A style sheet, which some programs leave in the plain text that they make of their HTML."""
_BREAK = re.compile(r"<br\s{0,3}/?>(?:\r?\n)?", re.IGNORECASE)
_LONGEST_LINK = 120
_STUB = re.compile(
    r"html.{0,80}(?:support|view|read|display|capable|enabled|compatible|client|browser|version|format|поддерж|"
    r"просмотр|формат|письм|сообщени|клиент|программ|перегля|підтрим|лист|anzeig|unterst)"
    r"|(?:support|view|read|display|enable|поддерж|просм|прочит|формат|перегля|підтрим|anzeig|unterst).{0,80}html"
    r"|(?:view|open|read|посмотреть|открыть|просмотреть|переглянути|відкрити).{0,60}(?:browser|браузер)",
    re.IGNORECASE | re.DOTALL,
)
_LONGEST_STUB = 400


def to_text(html: str) -> str:
    """The text of an HTML mail, tables row by row, marks where they stood."""
    html = markup.honest(markup.without_pictures(html))
    if len(html) > _LARGEST:
        html = markup.inside(html, styles=False)[:_LARGEST]
    try:
        text = _laid_out(html)
    except (
        etree.LxmlError,
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RecursionError,
        TypeError,
        ValueError,
    ):
        text = ""  # whatever a foreign library stumbles over must not lose the alarm
    return _tidy(text) or _tidy(markup.strip(html)) or _tidy("\n".join(markup.descriptions(html)))


def readable(plain: str, html: str) -> str:
    """What a phone is to read: the plain text, or the HTML's where that one is a stub."""
    if not html:
        return _broken_up(plain)
    bare = "" if _STYLES.match(plain) else _words(plain)
    if bare and (len(bare) > _LONGEST_STUB or not _STUB.search(bare)):
        return plain
    text = to_text(html)
    shown = _words(text)
    return text if shown and (not bare or bare not in shown) else plain


def _broken_up(plain: str) -> str:
    """A plain text in which a program wrote HTML's line ends and signs all the same."""
    if not _BREAK.search(plain):
        return plain
    return markup.unescaped(_BREAK.sub("\n", plain))


def is_stub(plain: str, html: str) -> bool:
    """Whether the plain text says nothing, or only that the mail is to be read as HTML."""
    return bool(html) and readable(plain, html) is not plain


def shows(html: str) -> bool:
    """Whether a mailbox would show anything: words, or a picture."""
    return "\ufdd0" in html or "<img" in html.lower() or bool(_words(markup.strip(html)))


def _words(text: str) -> str:
    return " ".join(re.sub(model.MARK, "", text).split())


def _laid_out(html: str) -> str:
    """Inscriptis' reading; "" where the tree would not hold all of it."""
    tree = lxml.html.document_fromstring(html)
    if _depth(tree) > _DEEPEST:
        return ""
    headed: dict[lxml.html.HtmlElement, int] = {}
    for element in [each for each in tree.iter() if isinstance(each, lxml.html.HtmlElement)]:
        if _unseen(element) and element.getparent() is not None:
            element.drop_tree()
        elif element.tag == "a":
            _show_address(element)
        elif element.tag == "hr":
            element.tag = "br"
        elif element.tag == "tr":
            _fill(element, headed)
    return str(Inscriptis(tree, _CONFIG).get_text())


def _depth(tree: lxml.html.HtmlElement) -> int:
    depth = deepest = 0
    for event, _ in etree.iterwalk(tree, events=("start", "end")):
        depth += 1 if event == "start" else -1
        deepest = max(deepest, depth)
    return deepest


def _unseen(element: lxml.html.HtmlElement) -> bool:
    return (
        element.tag in _UNREAD
        or "hidden" in element.attrib
        or _HIDDEN.search(element.get("style", "")) is not None
    )


def _fill(row: lxml.html.HtmlElement, headed: dict[lxml.html.HtmlElement, int]) -> None:
    """Say in a table of values, which has a heading for each column, that a cell is empty.

    `headed` keeps of each table how many columns its first row names, so that it is read once.
    """
    table = row.getparent()
    table = table.getparent() if table is not None and table.tag in ("tbody", "thead", "tfoot") else table
    if table is None:
        return
    if table not in headed:
        headed[table] = len(row) if all(map(_has_words, row)) else 0
        return
    if headed[table] < 2 or len(row) != headed[table] or not any(map(_has_words, row)):
        return
    for cell in row:
        if not _has_words(cell):
            cell.text = _NO_VALUE


def _has_words(cell: lxml.html.HtmlElement) -> bool:
    return bool(cell.text_content().strip("\xa0 \t\r\n")) or cell.find(".//img") is not None


def _show_address(link: lxml.html.HtmlElement) -> None:
    """Add its address to a link whose text says only that it is one."""
    address = link.get("href", "").strip()
    text = " ".join(link.text_content().split()).strip(" .:>»→").lower()
    if text in _GENERIC and len(address) <= _LONGEST_LINK and address.startswith(("http://", "https://")):
        last = link[-1] if len(link) else None
        if last is None:
            link.text = f"{link.text or ''} {address}"
        else:
            last.tail = f"{last.tail or ''} {address}"


def _tidy(text: str) -> str:
    """Lines without runs of blanks, at most one empty line between two others."""
    text = _BLANKS.sub(" ", _INVISIBLE.sub("", text))
    lines = "\n".join(line.strip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip()
