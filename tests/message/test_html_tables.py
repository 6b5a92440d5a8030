"""Tables are read row by row, in time and memory that grow with what stands in them."""

from __future__ import annotations

import tracemalloc

import pytest

from relay.message import html


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<table><tr><td>a<td>b<tr><td>c<td>d</table>", "a b\nc d"),
        ("<table><tr><td>a<br>b<br>c<td>x</table>", "a\nb x\nc"),
        ("<table><tr><td>a<br>b<br>c<td valign=top>x<td valign=bottom>z</table>", "a x\nb\nc z"),
        ("<table><tr><td><td>Layout<td></table>", "Layout"),
        ("<table><tr><td></table>x", "x"),
        ("<table><tr><tr><td>a</table>", "a"),
        ("<table><td>no row</table>", "no row"),
        ("<table></table>x", "x"),
        ("<table><caption>Disks</caption><tr><td>a</table>", "Disks\na"),
        ("<table><tr><td>a<td><table><tr><td>b<td>c<tr><td>d<td>e</table><td>f</table>", "b c\na d e f"),
        ("<div>above<table><tr><td>a</table>below</div>", "above\na\n\nbelow"),
        ("<tr><td>lone<td>cells", "lonecells"),
        ("<td>Disks<table><tr><td>a</table>", "Disks\na"),
    ],
)
def test_a_table_is_read_row_by_row(source, expected):
    """A lower cell stands beside the middle of a higher one, an empty one takes no room."""
    assert expected == html.to_text(source)


def test_tables_deep_inside_each_other_are_read_cell_by_cell():
    """Each word of them stays, side by side in the outer ones."""
    text = html.to_text("".join(f"<table><tr><td>a{n}<td>b{n}<tr><td>" for n in range(20)))
    assert text.startswith("a0 b0\na1 b1\n")
    assert text.split() == [word for n in range(20) for word in (f"a{n}", f"b{n}")]
    assert "a19\nb19" in text


WIDE = {
    "columns by rows": "<table><tr>" + "<td>" * 4000 + "<tr>" * 3772 + "<td>end",
    "words by rows": "<table><tr>" + "<td>x" * 19_000 + "<tr>" * 19_000 + "<td>end",
    "headings": "<table><tr>" + "<th>" * 2000 + "<tr><td>x" * 20_000 + "<tr><td>end",
    "one wide cell": "<table><tr><td>" + "x" * 120_000 + "<tr><td>a" * 13_000 + "<tr><td>end",
    "one high cell": "<table><tr><td>" + "x<br>" * 17_000 + "<td>a" * 17_000 + "<tr><td>end",
    "one inside the other": "<table><tr><td>a<td>" * 60 + "x<br>" * 35_000 + "<tr><td>end",
    "a long caption": "<table><caption>" + "<b>x</b>" * 11_000 + "</caption>" + "<tr><td>" * 11_000 + "end",
}


@pytest.mark.parametrize("source", WIDE.values(), ids=WIDE)
@pytest.mark.timeout(20)  # where each cell is as wide as its column it takes minutes
def test_a_wide_or_high_table_is_read_in_time(source):
    """175 kB of table are read in about a second."""
    assert html.to_text(source).count("end") == 1


def test_a_wide_cell_makes_no_other_cell_wide():
    """Memory grows with what stands in a table, not with its width times its height."""
    tracemalloc.start()
    try:
        html.to_text("<table><tr><td>" + "x" * 20_000 + "<tr><td>a" * 2_000)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
