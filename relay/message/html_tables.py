"""Tables as rows of words: what Inscriptis does with them, in time and memory that grow with their text.

Inscriptis itself makes each cell as wide as its column and as high as its row, and writes that as
blanks: a table of one wide cell and many rows takes gigabytes, of which a phone is shown nothing.
Here a row is its cells' lines side by side, and a cell that says nothing in a line takes no room in it.
"""

from __future__ import annotations

from collections.abc import Mapping

from inscriptis.html_properties import Display
from inscriptis.model.canvas import Canvas
from inscriptis.model.html_document_state import HtmlDocumentState
from inscriptis.model.tag import CustomHtmlTagHandlerMapping

_BETWEEN = "  "  # cells
_DEEPEST = 12  # tables inside each other whose cells stand side by side; of deeper ones below each other


class _Cell(Canvas):  # type: ignore[misc]
    """What is written into one cell, and where it stands beside a higher one: 0 top, 1 middle, 2 bottom."""

    __slots__ = ("place",)

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place


class _Table:
    """The cells of a table that is still being read."""

    def __init__(self) -> None:
        self.rows: list[list[_Cell]] = []

    def add(self, cell: _Cell) -> None:
        if not self.rows:
            self.rows.append([])
        self.rows[-1].append(cell)

    def text(self, *, beside: bool) -> str:
        """Its rows; of each the cells `beside` each other, or else below."""
        return "\n".join(_row(row, beside=beside) for row in self.rows) + "\n"


def _row(cells: list[_Cell], *, beside: bool) -> str:
    texts = [(cell.place, cell.get_text()) for cell in cells]
    said = [(place, text) for place, text in texts if text.strip()]
    if not beside or len(said) == 1:
        return "\n".join(text for _, text in said)
    if not any("\n" in text for _, text in said):
        return _BETWEEN.join(text for _, text in said)
    columns = [(place, text.split("\n")) for place, text in said]
    rows: list[list[str]] = [[] for _ in range(max(len(lines) for _, lines in columns))]
    for place, lines in columns:
        top = (len(rows) - len(lines)) * place // 2
        for at, line in enumerate(lines, start=top):
            if line.strip():
                rows[at].append(line)
    return "\n".join(_BETWEEN.join(row) for row in rows)


def _table_begins(state: HtmlDocumentState, _: Mapping[str, str]) -> None:
    state.tags[-1].set_canvas(Canvas())
    state.current_table.append(_Table())


def _row_begins(state: HtmlDocumentState, _: Mapping[str, str]) -> None:
    if state.current_table:
        state.current_table[-1].rows.append([])


def _cell_begins(state: HtmlDocumentState, _: Mapping[str, str]) -> None:
    if state.current_table:
        cell = _Cell(state.tags[-1].valign.value)
        state.tags[-1].canvas = cell
        state.current_table[-1].add(cell)


def _cell_ends(state: HtmlDocumentState) -> None:
    if state.current_table:
        state.tags[-1].canvas.close_tag(state.tags[-1])


def _table_ends(state: HtmlDocumentState) -> None:
    """Write the table where it stands, below what stood in it outside of any cell."""
    _cell_ends(state)
    beside = len(state.current_table) <= _DEEPEST
    table = state.current_table.pop()
    inner, outer = state.tags[-1], state.tags[-2]
    stray = inner.canvas.get_text().strip()
    if stray:
        outer.write(stray)
        outer.canvas.write_newline()
    outer.canvas.flush_inline()  # words before a table are not its first cell's
    outer.write_verbatim_text(table.text(beside=beside))
    outer.canvas.flush_inline()
    if outer.display == Display.block:
        outer.canvas.current_block.prefix.remove_last_prefix()


HANDLERS = CustomHtmlTagHandlerMapping(
    start_tag_mapping={
        "table": _table_begins,
        "tr": _row_begins,
        "td": _cell_begins,
        "th": _cell_begins,
    },
    end_tag_mapping={"table": _table_ends, "td": _cell_ends, "th": _cell_ends},
)
"""For Inscriptis' configuration."""
