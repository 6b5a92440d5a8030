"""HTML as a person with a phone reads it, and as it goes on by mail.

Inscriptis lays tables and lists out; before it, what no reader was meant to see goes: hidden
preheaders, tracking pictures, zero-width letters. A link is its text, but one that is called
"click here" shows its address. HTML that is too deep for the tree is stripped of its tags.
"""

from __future__ import annotations

import re
from itertools import islice

import lxml.html
from inscriptis import Inscriptis
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.html_properties import Display
from inscriptis.model.config import ParserConfig
from inscriptis.model.html_element import HtmlElement
from lxml import etree

from relay import model
from relay.message import html_tables, markup
from relay.message.alarms import alarm_of
from relay.message.markup import for_mail

__all__ = ["for_mail", "readable", "shows", "to_text"]

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
    r"display\s{0,9}:\s{0,9}none|mso-hide\s{0,9}:\s{0,9}all"
    r"|font-size\s{0,9}:\s{0,9}[01](?:px|pt)?\s{0,9}(?:;|!|$)|max-height\s{0,9}:\s{0,9}0(?![.\d]*[1-9])"
    r"|opacity\s{0,9}:\s{0,9}0(?:\.0{1,9})?\s{0,9}(?:;|!|$)",
    re.IGNORECASE,
)
_VEILED = re.compile(r"visibility\s{0,9}:\s{0,9}hidden", re.IGNORECASE)
_UNVEILED = re.compile(r"visibility\s{0,9}:\s{0,9}visible", re.IGNORECASE)
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
    r"\s*(?:@media|[.#]?[a-z][\w-]{0,40})[^{}<>\n]{0,120}\{\s{0,40}(?:\*|_)?"
    r"(?:-?(?:mso|webkit|ms|moz)-|align|background|border|color|display|float|font|height|letter-|line-|list-"
    r"|margin|max-|min-|opacity|outline|padding|page|panose|position|size|table-|text-|vertical-|visibility"
    r"|white-space|width|word-|zoom)[a-z0-9-]{0,40}\s{0,9}:[^{}<>]{0,400}\}",
    re.IGNORECASE,
)
"""A style sheet, which some programs leave in the plain text that they make of their HTML."""
_BREAK = re.compile(r"<br\s{0,3}/?>(?:\r?\n)?", re.IGNORECASE)
_LONGEST_LINK = 120
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,30});", re.IGNORECASE)
_BRACKETED = re.compile(r"<([\w.+=-]{1,80}@[\w.-]{1,200}|https?://[^\s<>\"']{1,500})>")
"""What no tag is although it stands like one: `<root@db1>` of cron."""
_TITLE = re.compile(r"<title[^<>]{0,200}>([^<]{1,1000})", re.IGNORECASE)
_SHORT = 24  # characters of a picture's alt that stands for a state, not for a logo's story
_CELL = 6  # elements at most between a picture and its cell
_STUB = re.compile(
    r"html.{0,80}(?:support|view|read|display|capable|enabled|compatible|client|browser|version|format|поддерж|"
    r"просмотр|формат|письм|сообщени|клиент|программ|перегля|підтрим|лист|anzeig|unterst)"
    r"|(?:support|view|read|display|enable|поддерж|просм|прочит|формат|перегля|підтрим|anzeig|unterst).{0,80}html"
    r"|(?:view|open|read|посмотреть|открыть|просмотреть|переглянути|відкрити).{0,60}(?:browser|браузер)",
    re.IGNORECASE | re.DOTALL,
)
_LONGEST_STUB = 400
_VIEWING = re.compile(
    r"\b(?:problems?|trouble|unable|fail(?:s|ed)|errors?|warning|проблем\w{0,3}|не удалось|не уда[её]тся)"
    r"(?: [^\W\d]{1,12}){0,3} (?:view|read|display|show|see|open|render|просм|прочит|отобра|отображ|откр)",
    re.IGNORECASE,
)
"""Trouble that a stub speaks of itself."""


def to_text(html: str) -> str:
    """The text of an HTML mail, tables row by row, marks where they stood."""
    html = markup.honest(markup.without_pictures(html))
    if len(html) > _LARGEST:
        html = markup.inside(html, styles=False)[:_LARGEST]
    html = _BRACKETED.sub(r"&lt;\1&gt;", html)
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
    found = _tidy(text) or _tidy(markup.strip(html)) or _tidy("\n".join(markup.descriptions(html)))
    return found or _tidy(markup.unescaped("".join(_TITLE.findall(html)[:1])))


def readable(plain: str, html: str) -> str:
    """What a phone is to read: the plain text, or the HTML's where that one is a stub."""
    if not html:
        return _broken_up(plain)
    bare = "" if _STYLES.match(plain) else _words(plain)
    if bare and not _is_stub(bare):
        return plain
    text = to_text(html)
    shown = _words(text)
    return text if shown and (not bare or bare not in shown) else plain


def _broken_up(plain: str) -> str:
    """A plain text in which a program wrote HTML's line ends and signs all the same."""
    if not _BREAK.search(plain):
        return plain
    return _REFERENCE.sub(lambda found: markup.unescaped(found[0]), _BREAK.sub("\n", plain))


def _is_stub(bare: str) -> bool:
    """Whether a plain text says only that the mail is to be read as HTML; an alarm never does."""
    if len(bare) > _LONGEST_STUB or not _STUB.search(bare):
        return False
    return alarm_of("", _VIEWING.sub(" ", bare)) is not model.Alarm.PROBLEM


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
    worded: dict[lxml.html.HtmlElement, bool] = {}
    veiled = set[lxml.html.HtmlElement]() if _UNVEILED.search(html) else None
    for element in [each for each in tree.iter() if isinstance(each, lxml.html.HtmlElement)]:
        if veiled is not None:
            _veil(element, veiled)
        if _unseen(element, veiled) and element.getparent() is not None:
            element.drop_tree()
        elif element.tag == "a":
            _show_address(element)
        elif element.tag == "hr":
            element.tag = "br"
        elif element.tag == "tr":
            _fill(element, headed)
        elif element.tag == "img" and not (veiled and element in veiled):
            _show_state(element, worded)
    return str(Inscriptis(tree, _CONFIG).get_text())


def _depth(tree: lxml.html.HtmlElement) -> int:
    depth = deepest = 0
    for event, _ in etree.iterwalk(tree, events=("start", "end")):
        depth += 1 if event == "start" else -1
        deepest = max(deepest, depth)
    return deepest


def _unseen(element: lxml.html.HtmlElement, veiled: set[lxml.html.HtmlElement] | None) -> bool:
    style = element.get("style", "")
    return (
        element.tag in _UNREAD
        or "hidden" in element.attrib
        or _HIDDEN.search(style) is not None
        or (veiled is None and _VEILED.search(style) is not None)
    )


def _veil(element: lxml.html.HtmlElement, veiled: set[lxml.html.HtmlElement]) -> None:
    """Take away the words of an element that is not visible; one inside it may be visible again."""
    style = element.get("style", "")
    if not _UNVEILED.search(style) and (_VEILED.search(style) or element.getparent() in veiled):
        veiled.add(element)
        element.text = None
        for child in element:
            child.tail = None


def _show_state(picture: lxml.html.HtmlElement, worded: dict[lxml.html.HtmlElement, bool]) -> None:
    """Write the short description of a picture into its cell, where only other cells of the row have words.

    A logo stands alone. `worded` keeps of cells and rows whether they say anything: each is read once.
    """
    said = picture.get("alt", "").strip()
    if not said or len(said) > _SHORT:
        return
    above = islice(picture.iterancestors(), _CELL)
    cell = next((each for each in above if each.tag in ("td", "th")), None)
    row = cell.getparent() if cell is not None else None
    if cell is None or row is None:
        return
    for each in (cell, row):
        if each not in worded:
            worded[each] = bool(each.text_content().strip("\xa0 \t\r\n"))
    if worded[row] and not worded[cell]:
        picture.tail = f"{said} {picture.tail or ''}"


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
