"""HTML as a phone shows it and as mail takes it on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay import model
from relay.message import html, markup

MARK = model.mark(3)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<p>Hi<br>there</p><p>you</p>", "Hi\nthere\n\nyou"),
        ("<table><tr><td>CPU</td><td>95 %</td></tr><tr><td>RAM<td>7 %</table>", "CPU 95 %\nRAM 7 %"),
        ("<ul><li>a<li>b</ul>", "* a\n* b"),
        ("<div style='display: none'>pre</div>x", "x"),
        ("<div style='max-height:0px;overflow:hidden'>pre</div>x", "x"),
        ("<span style='font-size:0'>pre</span><span style='opacity:0'>y</span>x", "x"),
        ("<span style='mso-hide:all'>pre</span><b hidden>y</b>x", "x"),
        ("<p style='font-size:0.9em;max-height:0.5em;opacity:0.5'>x</p>", "x"),
        ("<head><title>t</title><style>p{}</style></head><script>if(a<b){}</script>x", "x"),
        ("a\u200b\u200cb&zwnj;&shy;c\ufeff&nbsp; d", "abc d"),
        ("<!--[if mso]>office<![endif]-->x<!--[if !mso]><!-->y<!--<![endif]-->", "xy"),
        ("<?xml version='1.0' encoding='windows-1251'?><html><body>Привет</body></html>", "Привет"),
        ("<meta charset=koi8-r>Привет", "Привет"),
        (f"a {MARK} b", f"a {MARK} b"),
        ("&#xfdd0;0&#64977; &#0;x", "\ufffd0\ufffd \ufffdx"),
        ("5 < 6 & 7 > 3", "5 < 6 & 7 > 3"),
        ('<a href="http://x/y">Click here</a>', "Click here http://x/y"),
        ('<a href="https://x/y"><b>по ссылке</b></a>.', "по ссылке https://x/y."),
        ('<a href="http://x/y">Server db1</a>', "Server db1"),
        ('<a href="mailto:a@b">here</a>', "here"),
        (f'<a href="http://x/{"y" * 200}">here</a>', "here"),
        ('<a href="http://x/y"><img src="z.png"></a>', ""),
        ("<img src='data:image/png;base64,AAAA'>x", "x"),
        ("", ""),
        ("<p>", ""),
        ("<!-- -->", ""),
        ("<html><head><title>only</title></head></html>", "only"),
    ],
)
def test_html_is_read_as_a_person_would(source, expected):
    """Tables keep rows, hidden things and tricks go, marks stay, generic links show where they lead."""
    assert expected == html.to_text(source)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("FAULT<hr>Pressure 0.4 bar", "FAULT\nPressure 0.4 bar"),
        ("<details><summary>Log</summary>valve closed</details>", "Log\nvalve closed"),
        (
            "<table><tr><th>City<th>pcs<th>kg<tr><td>Moscow<td>12<td>&nbsp;<tr><td>Tver<td><td>3.5</table>",
            "City pcs kg\nMoscow 12 -\nTver - 3.5",
        ),
        ("<table><tr><td><td>Layout<tr><td>a<td></table>", "Layout\na"),
        ("<table><tr><td>a<td>b<tr><td><td></table>", "a b"),
        ("<tr><td>lone", "lone"),
        ("<img src=x alt=\"Door: motion\"><img alt='Gate &amp; yard'>", "Door: motion\nGate & yard"),
    ],
)
def test_what_stands_apart_stays_apart(source, expected):
    """Rules and summaries end lines, an empty cell among values keeps its place, pictures say their alt."""
    assert expected == html.to_text(source)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<table><tr><td>db1<td><img alt=DOWN><tr><td>web1<td><img alt=UP></table>", "db1 DOWN\nweb1 UP"),
        ("<table><tr><td><img alt=Logo><tr><td>db1 failed</table>", "db1 failed"),
        ("<table><tr><td><a href=x><img alt=' OK '></a>&nbsp;<img alt=2><td>db1</table>", "OK 2 db1"),
        ("<table><tr><td><img alt='red lamp'>DOWN<td><img alt=''>db1</table>", "DOWN db1"),
        (f"<table><tr><td><img alt='{'a' * 25}'><td>db1</table>", "db1"),
        ("<p><img alt=Logo>db1</p>", "db1"),
        ("<p>Cron <root@db1> failed, see <https://x.example/y?a=1></p>",
         "Cron <root@db1> failed, see <https://x.example/y?a=1>"),
        ("<html><head><title>Server db1 &amp; db2 down</title></head><body><img src=x></body></html>",
         "Server db1 & db2 down"),
        ("<title>News</title><img alt='Door: motion'>", "Door: motion"),
        ("<div style='visibility:hidden'>no<i style='visibility: visible'>ALARM</i>no <b>no</b></div>ok",
         "ALARM\nok"),
        ("<table style='visibility:hidden'><td><img alt=no><td style='visibility:visible'>a</table>", "a"),
        ("<p style='visibility:visible'>a</p><p style='visibility:hidden'>b<i>c</i>d</p>e", "a\n\ne"),
        ("<p style='visibility:hidden'>a</p>b", "b"),
        ("<table><tbody hidden><tr><td>n<tr><td>n</tbody><tr><td hidden><img alt=n></td><td>a</table>", "a"),
    ],
)  # fmt: skip
def test_words_that_only_look_hidden_are_read(source, expected):
    """States that are pictures, addresses in brackets, a title alone, what is visible in what is not."""
    assert expected == html.to_text(source)


def test_an_address_in_a_plain_text_keeps_its_letters():
    """Only a reference with its semicolon is one."""
    assert (
        html.readable("http://x/?a=1&lt=5&reg=3 <br/>a &lt; b&#33;", "")
        == "http://x/?a=1&lt=5&reg=3 \na < b!"
    )


def test_html_too_deep_for_the_tree_is_stripped_of_its_tags():
    """No text is lost to nesting."""
    assert html.to_text("<div>" * 3000 + "deep<br>text" + "</div>" * 3000) == "deep\ntext"
    assert html.to_text("<p>a</p>" + "<b>" * 220 + "b<td>c</td> &amp;") == "a\nb c &"


@pytest.mark.parametrize("fault", [LookupError, MemoryError])
def test_what_a_library_stumbles_over_is_stripped_of_its_tags(monkeypatch, fault):
    """A fault of the layout costs the layout, not the alarm."""

    def stumble(_source):
        raise fault

    monkeypatch.setattr(html, "_laid_out", stumble)
    assert html.to_text("<p>a</p><p>b</p>") == "a\n\nb"


def test_very_long_html_is_cut_before_it_is_laid_out():
    """The body of a large mail is read from its beginning, whatever stands in its head."""
    text = html.to_text("<style>" + "x" * 300_000 + "</style>" + "<p>fire</p>" + "y" * 300_000)
    assert text.startswith("fire\n\nyyy")
    assert len(text) <= 256 * 1024


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<html><head><title>t</title><style>p{}</style></head><body bgcolor=x><p>a</p></body></html>",
         "<style>p{}</style><p>a</p>"),
        ("<!DOCTYPE html><meta a><link b><base c>x", "x"),
        ("<script src=a></script>x<SCRIPT>if (a > b) '</p>'</script >y", "xy"),
        ("<!--[if mso]><xml><a></xml><![endif]-->x<!-- y -->", "x"),
        ("<xml><o:a></o:a></xml>x<?xml:namespace prefix = o />", "x"),
        (f"<p title='a > b'>{MARK}</p>{MARK}", f"<p title='a > b'>{MARK}</p>{MARK}"),
        ("a<img src='cid:gone'>b<img src='http://x/y.png'>", "ab<img src='http://x/y.png'>"),
        ("a<!-- never closed", "a never closed"),
        ("<script>never closed", "never closed"),
        ("<script/>x<title>y", "xy"),
        ("<header>x</header><bodyx>", "<header>x</header><bodyx>"),
        ("< p>x<", "< p>x<"),
        ("", ""),
    ],
)  # fmt: skip
def test_mail_takes_on_the_inside_of_the_body(source, expected):
    """Markup, styles and marks stay; scripts, comments, head and lost pictures go."""
    assert expected == html.for_mail(source)
    assert expected == html.for_mail(expected)


@pytest.mark.parametrize(
    ("plain", "source", "expected"),
    [
        ("", "<p>alarm</p>", True),
        (f" {MARK}\n", "<p>alarm</p>", True),
        ("", "<p> &nbsp;</p>", False),
        ("", "", False),
        ("Your e-mail client does not support HTML messages.", "<p>alarm</p>", True),
        (
            "This message is in HTML format. Please use a mail client that can display it",
            "<p>alarm</p>",
            True,
        ),
        ("Ваш почтовый клиент не поддерживает HTML", "<p>alarm</p>", True),
        ("Для просмотра этого письма включите HTML", "<p>alarm</p>", True),
        ("View this email in your browser: http://x/y", "<p>alarm</p>", True),
        ("Посмотреть письмо в браузере http://x/y", "<p>alarm</p>", True),
        ("Disk full", "<p>Disk full on db1</p>", False),
        ("HTML page not supported by client 5", "<p>HTML page not supported by client 5</p> now", False),
        ("cannot view HTML " + "x" * 500, "<p>alarm</p>", False),
        ("Having problems viewing this email? View it in your browser", "<p>alarm</p>", True),
        ("ALARM: web client can not open the browser page on db1", "<p>See portal</p>", False),
        ("body {font-size: 12px; color: red} alarm", "<p>alarm</p>", True),
        ('alarm {"host": "db1", "temp": 95}', "<p>Portal mail</p>", False),
        ("Sensor {temp: 95} alarm", "<p>Portal mail</p>", False),
    ],
)
def test_a_plain_text_that_only_points_to_the_html_is_a_stub(plain, source, expected):
    """What says no more than that there is HTML gives way to it; an alarm never does."""
    assert expected is (html.readable(plain, source) is not plain)


@pytest.mark.parametrize(
    "source",
    [
        "<img " * 50_000, '<img src="' * 25_000, "<!--" * 60_000, "<script>" * 30_000, "<" * 250_000,
        "<table><tr><td>" * 80 + "x" * 1000, "<table>" + "<tr><td>a<td>b" * 10_000, "<a href=x>y" * 20_000,
        "<p style='" + "display:" * 30_000 + "'>x", "&amp;" * 50_000, "<td colspan=99999999999>x",
        "<ol>" * 50 + "<li>x" * 9000,
        "<table><tr><td>" + "<img alt=x>" * 20_000, "<td><b><img alt=x>" * 13_000, "<title>" * 30_000,
        "<i style='visibility:hidden'><b style='visibility:visible'>" * 90 + "<u>x</u>" * 20_000,
        "<a@" * 80_000,
        "<p =" * 50_000, "<p ='>" * 50_000, "&#x" * 80_000,
    ],
    ids=lambda source: source[:16],
)  # fmt: skip
@pytest.mark.timeout(20)  # a quadratic reading would take hours
def test_hostile_html_is_read_in_time(source):
    """HTML built to make a reader slow takes less than two seconds in every use."""
    html.readable("view in browser", source)
    html.for_mail(source)
    markup.place(source, {"a": 0})


PIECES = st.sampled_from(
    ["<p>", "</p>", "<table>", "<tr>", "<td colspan=2>", "</table>", "<!--", "-->", "<a href='http://x'>",
     "here", "<ol>", "<li>", "<pre>", "x", " ", "\n", "&lt;", "&#8203;", "<img src=cid:a>", "'", '"', "<",
     ">", MARK, "<body>", "</body>"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join))
@settings(max_examples=150, deadline=None)
def test_any_html_is_read(source):
    """No tag soup raises, in any of the uses; going on by mail twice changes nothing."""
    html.to_text(source)
    once = html.for_mail(source)
    assert once.count(MARK) <= source.count(MARK)
    placed = markup.place(source, {"a": 7})
    assert (7 in placed.shown) == (model.mark(7) in placed.html)


PADDED = "&#" + "0" * 6000 + "64976;"
LONG = "&#0000000065" + "1" * 5000 + ";"


@pytest.mark.parametrize(
    "source",
    [
        "_&#00000064976;9&#00000064977;_CALL_&#00000064976;8&#00000064977;_: hi",
        "_&#x0000000fdd0;9&#x0000000fdd1;_CALL__: hi",
        "A&#&#&#64976;64976;64976;B0&#&#64977;64977;C",
        f"a{PADDED}0&#64977;b{LONG}c",
        "&lt;&#64976;7&#64977;file 1>",
    ],
)
def test_no_reference_forges_a_mark(source):
    """Padded, nested or longer than any number: what no text may hold is none in what is read of it."""
    for text in (html.to_text(f"<p>{source}</p>"), markup.strip(source), html.readable(f"x<br>{source}", "")):
        assert not {"\ufdd0", "\ufdd1"} & {*text}


@pytest.mark.parametrize("source", [LONG, PADDED, "&#" + "1" * 5000, "a<br>&#" + "9" * 5000 + ";"])
def test_a_reference_of_thousands_of_digits_raises_nowhere(source):
    """Python refuses to make numbers of so many."""
    assert isinstance(html.shows(f"<p>hi {source}"), bool)
    assert "\0" not in html.to_text("<div>" * 300 + source) + html.readable(source, "")


@pytest.mark.parametrize(
    ("source", "said"),
    [("&#0000065;", "A"), ("&#x00041;", "A"), ("&#65", "A"), ("&#8364;&#128;", "€€"), ("&#55357;", "\ufffd")],
)
def test_references_are_read_whatever_their_zeros(source, said):
    """As browsers do, windows-1252 among them."""
    assert said == markup.unescaped(source)
