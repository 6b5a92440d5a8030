"""The octets of a mail: exact over every boundary, ended by CR LF . CR LF alone, never too many."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.smtp import data
from relay.smtp.data import Body, Dots, Spool

ODDS = st.lists(st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"\0", b"a", b"..", b"\r\n.", b"\xff"])).map(
    b"".join
)


def fed(wire: bytes, cuts: list[int]) -> tuple[bytes, Dots]:
    """What comes out of a stream that is cut at these places."""
    dots, out, start = Dots(), b"", 0
    for end in [*sorted(cuts), len(wire)]:
        block, start = wire[start:end], end
        if dots.done:
            dots.rest += block
        elif block:
            out += dots.feed(block)
    return out, dots


def stuffed(lines: list[bytes]) -> bytes:
    """Lines as an honest client sends them (RFC 5321 4.5.2)."""
    return b"".join((b"." if line[:1] == b"." else b"") + line + b"\r\n" for line in lines) + b".\r\n"


@given(st.lists(st.lists(st.sampled_from([b".", b"a", b"\xff", b" "])).map(b"".join)), ODDS, st.data())
def test_what_an_honest_client_sends_arrives_whatever_the_blocks(lines, rest, draws):
    """The same octets come out, and what follows the end is left for the next command."""
    wire = stuffed(lines) + rest
    cuts = draws.draw(st.lists(st.integers(0, len(wire)), max_size=12))
    out, dots = fed(wire, cuts)
    assert (out, dots.rest, dots.done) == (b"".join(line + b"\r\n" for line in lines), rest, True)


@given(ODDS, st.data())
def test_only_one_sequence_ends_a_mail(wire, draws):
    """However it is cut, the end and the content are those of the whole."""
    whole = b"\r\n" + wire
    end = whole.find(b"\r\n.\r\n")
    content = whole[: end + 2] if end >= 0 else whole
    out, dots = fed(wire, draws.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    assert dots.done == (end >= 0)
    if dots.done:
        assert out == content.replace(b"\r\n.", b"\r\n")[2:]


def test_every_single_cut_through_a_mail():
    """One mail with dots at every edge, cut in two at each place."""
    wire = b"..a\r\n...\r\nb.\r\n\r\n.\r\nNOOP\r\n"
    for cut in range(len(wire) + 1):
        out, dots = fed(wire, [cut])
        assert (out, dots.rest) == (b".a\r\n..\r\nb.\r\n\r\n", b"NOOP\r\n")


def test_small_mail_stays_in_memory(tmp_path):
    """Up to `over` octets no file is made."""
    spool = Spool(str(tmp_path), over=4, limit=100)
    spool.write(b"ab")
    spool.write(b"cd")
    body = spool.take()
    assert (body, body.read(), list(tmp_path.iterdir())) == (Body(data=b"abcd", size=4), b"abcd", [])
    data.remove(body)


def test_large_mail_goes_to_a_private_file(tmp_path):
    """Beyond `over` octets a file of mode 0600 holds all of it until it is removed."""
    spool = Spool(str(tmp_path), over=4, limit=100)
    for piece in (b"abc", b"def", b"ghi"):
        spool.write(piece)
    body = spool.take()
    spool.drop()
    path = Path(body.path)
    assert (body.size, body.data, body.read()) == (9, b"", b"abcdefghi")
    assert (stat.S_IMODE(path.stat().st_mode), path.parent) == (0o600, tmp_path)
    data.remove(body)
    assert list(tmp_path.iterdir()) == []
    data.remove(body)


def test_too_large_mail_is_dropped_at_once(tmp_path):
    """Over the limit nothing is kept, and nothing more is."""
    spool = Spool(str(tmp_path), over=4, limit=8)
    spool.write(b"abcdefgh")
    assert (spool.too_large, len(list(tmp_path.iterdir()))) == (False, 1)
    spool.write(b"i")
    spool.write(b"j")
    assert (spool.too_large, list(tmp_path.iterdir()), spool.take()) == (True, [], Body(size=10))


def test_a_disk_that_takes_nothing_is_a_failure_not_a_crash(tmp_path):
    """Where no file can be made the mail is dropped and said to have failed."""
    spool = Spool(str(tmp_path / "missing"), over=1, limit=100)
    spool.write(b"abc")
    spool.write(b"def")
    assert (spool.failed, spool.too_large, spool.take().data) == (True, False, b"")


def test_a_full_disk_is_a_failure_even_when_closing(tmp_path):
    """What can't be written any more is dropped."""
    spool = Spool(str(tmp_path), over=1, limit=100)
    spool.write(b"abc")
    spool._file.close()
    with Path("/dev/full").open("wb") as spool._file:
        spool.write(b"def")
    assert (spool.failed, list(tmp_path.iterdir())) == (True, [])


@pytest.mark.parametrize("size", [0, 1, 3])
def test_sweeping_removes_what_was_left_and_nothing_else(tmp_path, size):
    """Spool files of a killed process go, a neighbour's file stays."""
    (tmp_path / "mail.txt").touch()
    for _ in range(size):
        spool = Spool(str(tmp_path), over=0, limit=100)
        spool.write(b"x")
        spool.take()
    assert data.sweep(str(tmp_path)) == size
    assert [each.name for each in tmp_path.iterdir()] == ["mail.txt"]


@pytest.mark.parametrize("spooled", [False, True])
@pytest.mark.parametrize("short", [*range(-5, 6), data.BLOCK])
def test_the_whole_header(tmp_path, spooled, short):
    """However long it is, and wherever the blocks are cut; and a mail that is nothing else."""
    header = b"X: ".ljust(data.BLOCK - short, b"x") + b"\r\n\r\n"
    for content in (header + b"body\r\n\r\nmore\r\n", header[:-2]):
        path = tmp_path / "mail"
        path.write_bytes(content)
        body = Body(path=str(path), size=len(content)) if spooled else Body(data=content, size=len(content))
        found = data.whole_header(body)

        assert content[: len(header)] == found
        changed = data.with_header(body, b"Y: y\r\n\r\n", len(found))
        assert b"Y: y\r\n\r\n" + content[len(found) :] == changed.read()
        assert (len(changed.read()), body.path) == (changed.size, changed.path)
        assert [path] == list(tmp_path.iterdir())


def test_a_header_that_can_t_be_written(tmp_path):
    """The mail stays as it was, and nothing else is left."""
    path = tmp_path / "mail"
    path.write_bytes(b"X: x\r\n\r\n")
    with pytest.raises(TypeError):
        data.with_header(Body(path=str(path), size=8), "no octets", 8)

    assert b"X: x\r\n\r\n" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())
