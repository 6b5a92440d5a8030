"""What a text must never do: call, dial, fetch, end early."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay import model
from relay.message import neutral

# The vendor's commands, matched more tolerantly than the vendor is likely to.
MACROS = [
    re.compile(r"_ ?_ *(?:call|viber|soc|mail|bot|mms|ping|hlr|sms|push|whatsapp|tg) *_ ?_", re.IGNORECASE),
    re.compile(r"__[A-Z]+__"),
    re.compile(r"(?:<|&lt;|&#60;|&#x3c;)[\s/]*file\b", re.IGNORECASE),
    re.compile(r"(?:\{|&#123;|&lbrace;)\s*(?:menu|button|no_unsub|file|sms|call)\b", re.IGNORECASE),
    re.compile(r"smsc\.[a-z]+/+upload", re.IGNORECASE),
]
BRACE = re.compile(r"\{\s*[A-Za-zА-яЁё_]")
PIECES = st.sampled_from(
    [
        *(
            "__",
            "_",
            " ",
            "\n",
            "CALL",
            "call",
            "ViBeR",
            ":",
            "PING",
            "{",
            "}",
            "{{",
            "menu",
            "button",
            ",",
            "no_unsub",
        ),
        *(
            "<",
            ">",
            "</",
            "file",
            "&lt;",
            "&gt;",
            "&#60;",
            "&#123;",
            "&#95;",
            "&amp;",
            "1",
            "/upload/",
            "smsc.ru",
            "/",
        ),
        *(
            "＿",
            "｛",
            "｝",
            "＜",
            "＞",
            "ＣＡＬＬ",
            "ﬁ",
            "le",
            "\u200b",
            "~~~",
            "\\n",
            "филе",
            "МАИЛ",
            "й",
            '"a": 1',
            "x",
        ),
        *("__init__", "\u0301", "&", "#", ";", "upload", model.mark(3), "%2F", "\t", "𝐂", "﹍", "℡"),
        *(
            "&lowbar;",
            "&#x5F;",
            "&#X03c;",
            "&LT;",
            "&lbrace;",
            "&lcub;",
            "&#x7B;",
            "＆",
            "％",
            "／",
            "﹛",
            "︷",
            "№",
        ),
        *("ſmſc", "SMSC", "UPLOAD", "ﬀ", "～～", "\r", "\x00", "\ufdd0", "\U0010ffff"),
    ]
)
TEXTS = st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=80)


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ("__CALL__: hello", "_CALL_: hello"),
        ("x __viber__: y", "x _viber_: y"),
        ("_ _ Call_ _: x", "_ Call_: x"),
        ("__PING__", "_PING_"),
        ("____HLR____", "_HLR_"),
        ("__CALL__MAIL__: x", "_CALL_MAIL_: x"),
        ("__NEWTHING__: x", "_NEWTHING_: x"),
        ("__МАИЛ__: x", "_МАИЛ_: x"),
        ("＿＿ＣＡＬＬ＿＿: x", "_ＣＡＬＬ_: x"),
        ("_\u200b_CALL__: x", "_CALL_: x"),
        ("&#95;_CALL__: x", "_CALL_: x"),
        ("def __init__(self)", "def __init__(self)"),
        ("______________", "______________"),
        ("__1__ __a b__ __" + "A" * 30 + "__", "__1__ __a b__ __" + "A" * 30 + "__"),
        ("__" + "a" * 200 + "__ __CALL\n__", "__" + "a" * 200 + "__ __CALL\n__"),
        ("<file 1>", "(file 1)"),
        ("< FILE\n/upload/files/x.jpg width=2 >", "( FILE\n/upload/files/x.jpg width=2 )"),
        ("</file> <file1> <file", "(/file) (file1) (file"),
        ("&lt;file 1&gt; &amp;lt;file 2> &#60;file 3&#62;", "(file 1) (file 2) (file 3)"),
        ("<file <b>1</b>", "(file <b>1</b>"),
        ("<file <file 1>", "(file (file 1)"),
        ("＜ﬁle 1＞", "(file 1)"),
        ("<филе 1>", "(филе 1)"),
        ("<filename> <profile>", "(filename) <profile>"),
        ("see https://smsc.ru/upload/files/sms/1.png", "see https://smsc.ru/ upload/files/sms/1.png"),
        ("www.SMSCENTRE.com:443//Upload/x", "www.SMSCENTRE.com:443// Upload/x"),
        ("https://example.com/upload/x", "https://example.com/upload/x"),
        ("{menu: 1: sms:7999,A,hi}", "(menu: 1: sms:7999,A,hi)"),
        ("{button,https://x.org,Go}", "(button,https://x.org,Go)"),
        ("{no_unsub}", "(no_unsub)"),
        ("{\n MENU: {menu: x}}", "(\n MENU: (menu: x))"),
        ("｛menu: 1｝", "(menu: 1)"),
        ("&#123;menu: 1&#125;", "(menu: 1)"),
        ('{"a": 1, "b": {c: 2}}', '{"a": 1, "b": (c: 2)}'),
        ("{{ x }}", "{( x )}"),
        ("{} {1} } {", "{} {1} } {"),
        ("{menu: unclosed", "(menu: unclosed"),
        ("______CALL______ <file 1> {menu: 2}", "_CALL_ (file 1) (menu: 2)"),
        ("__CALL__ smsc.ru/upload/ {menu: 2}", "_CALL_ smsc.ru/ upload/ (menu: 2)"),
        (f"{model.mark(0)} ok {model.mark(11)}", f"{model.mark(0)} ok {model.mark(11)}"),
    ],
)
def test_commands_are_shown_harmlessly(given_, wanted):
    """The phone shows what was written, near enough, and the provider obeys none of it."""
    assert wanted == neutral.neutralise(given_)


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ("<p>{no_unsub} <file 1></p>", "<p>(no_unsub) (file 1)</p>"),
        ("<b>__CALL__: x</b>", "<b>_CALL_: x</b>"),
        ("&lt;file 1&gt;", "(file 1)"),
        (
            '<style>a{color:red} @media x{ .b__c__d { margin: 0 } }</style><input type="file" name="a__b">',
            '<style>a{color:red} @media x{ .b__c__d { margin: 0 } }</style><input type="file" name="a__b">',
        ),
        ("<td>{menu: 1}{name}</td>", "<td>(menu: 1){name}</td>"),
    ],
)
def test_markup_stays_whole(given_, wanted):
    """In HTML only commands are touched: tags and style sheets are as they were."""
    assert wanted == neutral.neutralise(given_, html=True)


@given(TEXTS, st.booleans())
@example("__{CALL}__ {__CALL__", False)
@example("__init__филе__init__", False)
@example("{CALL℡", True)
@example("<file℡", False)
@example("ﬁ\u0301", False)
@example("__&#x0000007b;CALL__", False)
@example("_ _&#95;_ CALL _　_", False)
def test_neutralising_is_idempotent_and_leaves_no_command(given_, html):
    """Done twice it changes nothing, and no tolerant pattern finds a command any more."""
    once = neutral.neutralise(given_, html=html)
    assert once == neutral.neutralise(once, html=html)
    for view in (
        once,
        "".join(unicodedata.normalize("NFKC", each) if each != "℡" else each for each in once),
    ):
        assert not [macro.pattern for macro in MACROS if macro.search(view)]
    assert html or not BRACE.search(once)


@given(TEXTS)
def test_breaking_marks_leaves_none(given_):
    """No line of three tildes stays, however it is ended."""
    broken = neutral.break_marks(given_)
    assert broken == neutral.break_marks(broken)
    assert not [line for line in re.split(r"\\n|\n", broken) if line.strip() in {"~~~", "～～～"}]


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ("a\n~~~\nb\n ~~~ \nc", "a\n~ ~ ~\nb\n ~ ~ ~ \nc"),
        ("~~~", "~ ~ ~"),
        ("a\r\n~~~\r\nb", "a\n~ ~ ~\nb"),
        ("a\\n~~~\\nb", "a\\n~ ~ ~\\nb"),
        ("a\n～～～\nb", "a\n~ ~ ~\nb"),
        ("a ~~~ b\n~~~~\nc", "a ~~~ b\n~~~~\nc"),
    ],
)
def test_marks_are_broken_up(given_, wanted):
    """What would end the phone's text is spelt out; other tildes stay."""
    assert wanted == neutral.break_marks(given_)


@pytest.mark.timeout(20)  # a quadratic reading would take hours
@pytest.mark.parametrize(
    "piece",
    [
        "_",
        "_ ",
        "__A",
        "<file ",
        "&lt;file",
        "{",
        "{ ",
        "{menu ",
        "<\\/",
        "smsc.",
        "smsc/",
        "&amp;",
        "~~~\r",
        "\\n ",
        "\r",
    ],
)
def test_hostile_repetition_takes_linear_time(piece):
    """A hundred thousand characters made to make patterns go back are done in a moment."""
    text = piece * (100_000 // len(piece))
    neutral.neutralise(text)
    neutral.neutralise(text, html=True)
    neutral.break_marks(text)


# -- what is passed over -------------------------------------------------------------------

EVERY_LETTER = "".join(map(chr, range(0x110000)))
ALWAYS = re.compile("")


def thoroughly(do, *args, **options):
    """What it makes when no step is passed over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neutral, "_holds", lambda _text, _letters: True)
        for name in ("_LIGATURE", "_LOOKALIKE", "_UPLOAD_END"):
            patch.setattr(neutral, name, ALWAYS)
        return do(*args, **options)


@given(TEXTS, st.booleans())
@example("ſmſc.ru％2fupload", False)
@example("＿＿ＣＡＬＬ＿＿", True)
@example("&lowbar;&#95;CALL&#x5f;&UnderBar;", False)
@example("﹛menu: 1", True)
@example("_\x00_CALL_\x00_", False)
@example("~～~", False)
def test_a_step_that_is_passed_over_had_nothing_to_find(given_, html):
    """Whatever the text, taking every step makes the same of it."""
    assert thoroughly(neutral.neutralise, given_, html=html) == neutral.neutralise(given_, html=html)
    assert thoroughly(neutral.break_marks, given_) == neutral.break_marks(given_)


@given(TEXTS)
def test_no_finder_finds_anything_without_its_letters(given_):
    """The letters beside a finder are in whatever it finds: without them it finds nothing."""
    folded = neutral._folded(given_)
    for needed, find in {*neutral._MARKUP, *neutral._PLAINTEXT}:
        assert not list(find(folded.translate(dict.fromkeys(map(ord, needed)))))
    assert not list(neutral._UPLOAD.finditer(neutral._UPLOAD_END.sub(" ", folded)))


def test_letters_that_are_passed_over_are_no_lookalikes():
    """Of all letters there are, those that the search does not find are folded to themselves."""
    rest = neutral._LOOKALIKE.sub("", EVERY_LETTER)
    assert len(rest) > 60_000
    assert rest == rest.translate(neutral._PLAIN)


def test_look_alikes_are_seen_through_before_a_step_is_passed_over():
    """Every look-alike of a letter that a finder needs makes the finder look."""
    for code, letter in neutral._PLAIN.items():
        for needed, _ in (*neutral._MARKUP, *neutral._PLAINTEXT):
            assert (letter in needed) is neutral._holds(neutral._folded(chr(code)), needed)
