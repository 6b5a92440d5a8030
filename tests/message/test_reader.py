"""Large and hostile mail is read by a process that may die of it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from relay import model
from relay.message import content, reader, reader_worker

BIG = os.urandom(300_000)


def mail(*files: bytes, text: str = "Диск 95 %") -> bytes:
    """A mail with these files."""
    parts = b"".join(
        b"--b\nContent-Type: image/png; name=a.png\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(data)
        for data in files
    )
    head = "Subject: Тест\nMessage-ID: <1@x>\nDate: now\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n"
    return f"{head}{text}\n".encode() + parts + b"--b--\n"


@pytest_asyncio.fixture
async def make(tmp_path):
    """Makes readers over one folder and closes them."""
    made = []

    def one(**settings):
        made.append(reader.Reader(spool_dir=str(tmp_path), **settings))
        return made[-1]

    yield one
    for each in made:
        await each.close()


def worker(one: reader.Reader) -> int:
    """The process id of the reader's only idle worker."""
    [found] = one._idle
    return found.pid


async def until(condition):
    """Let the loop turn until something holds."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail("it never came true")


def octets(path) -> bytes:
    """What a file holds."""
    return Path(path).read_bytes()


def alive(pid: int) -> bool:
    """Whether there is such a process, be it a zombie."""
    return Path(f"/proc/{pid}").exists()


@pytest.mark.asyncio
async def test_a_small_mail_is_read_at_once(make, tmp_path):
    """No process is started for it, given as octets or as a file."""
    one, raw = make(), mail(b"x")
    spooled = tmp_path / "mail"
    spooled.write_bytes(raw)
    assert await one.read(data=raw, size=len(raw)) == content.read(raw)
    assert await one.read(path=str(spooled), size=len(raw)) == content.read(raw)
    assert one._idle == []


@pytest.mark.asyncio
async def test_a_large_mail_is_read_alike_by_a_worker(make, tmp_path):
    """The letter is the same, its large file lies in the spool folder for its owner alone."""
    one, raw = make(), mail(BIG, b"small")
    letter = await one.read(data=raw, size=len(raw))
    [big, small] = letter.files
    assert octets(big.path) == BIG
    assert os.stat(big.path).st_mode & 0o777 == 0o600  # noqa: PTH116 - it does not wait for long
    assert small.data == b"small"
    whole = replace(letter, files=(replace(big, path="", data=BIG), small))
    assert whole == content.read(raw)
    assert [Path(big.path)] == list(tmp_path.iterdir())


@pytest.mark.asyncio
async def test_a_spooled_mail_is_read_where_it_lies(make, tmp_path):
    """The caller's file stays; the worker is used again for the next mail."""
    one, raw = make(), mail(text="x" * 50_000)
    spooled = tmp_path / "spooled"
    spooled.write_bytes(raw)
    assert await one.read(path=str(spooled), size=len(raw)) == content.read(raw)
    first = worker(one)
    assert await one.read(path=str(spooled), size=len(raw)) == content.read(raw)
    assert first == worker(one)
    assert [spooled] == list(tmp_path.iterdir())


@pytest.mark.asyncio
async def test_mails_wait_for_their_turn(make):
    """With one worker ten mails at once are read by one process."""
    one = make(workers=1)
    mails = [mail(text=f"{number} " + "x" * 50_000) for number in range(10)]
    letters = await asyncio.gather(*(one.read(data=raw, size=len(raw)) for raw in mails))
    assert [str(number) for number in range(10)] == [letter.plain.split()[0] for letter in letters]
    assert worker(one)


@pytest.mark.asyncio
async def test_a_worker_that_takes_too_long_is_replaced(make, tmp_path):
    """The mail is unreadable for now, the process is gone, and the next mail is read."""
    one, raw = make(timeout=0.5), mail(BIG)
    await one.read(data=raw, size=len(raw))
    stuck = worker(one)
    os.kill(stuck, signal.SIGSTOP)
    before = set(tmp_path.iterdir())
    with pytest.raises(reader.Unreadable, match="in time"):
        await one.read(data=raw, size=len(raw))
    assert not alive(stuck)
    assert before == set(tmp_path.iterdir())
    one._timeout = 30
    assert (await one.read(data=raw, size=len(raw))).subject == "Тест"


@pytest.mark.asyncio
async def test_a_worker_that_dies_is_replaced(make):
    """Killed in the middle of a mail it costs that mail a try; killed while it waited, nothing."""
    one, raw = make(), mail(BIG)
    reading = asyncio.create_task(one.read(data=raw, size=len(raw)))
    while not one._busy:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0)
    os.kill(next(iter(one._busy)).pid, signal.SIGKILL)
    with pytest.raises(reader.Unreadable, match="died"):
        await reading
    assert (await one.read(data=raw, size=len(raw))).subject == "Тест"
    os.kill(worker(one), signal.SIGKILL)
    assert (await one.read(data=raw, size=len(raw))).subject == "Тест"


@pytest.mark.asyncio
async def test_what_the_machine_lacks_is_told_as_unreadable(make, monkeypatch, tmp_path):
    """Without a file descriptor left for a process or a file, the mail may come again."""
    one, raw = make(), mail(BIG)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())), limits[1]))
    try:
        with pytest.raises(reader.Unreadable):
            await one.read(data=raw, size=len(raw))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert (await one.read(data=raw, size=len(raw))).subject == "Тест"


@pytest.mark.asyncio
async def test_a_mail_too_large_for_its_memory_is_unreadable(make, tmp_path):
    """The limit on address space holds, and nothing stays behind."""
    one, raw = make(memory=16 << 20), mail(os.urandom(12_000_000))
    with pytest.raises(reader.Unreadable, match="MemoryError"):
        await one.read(data=raw, size=len(raw))
    assert ([], []) == (one._idle, list(tmp_path.iterdir()))


@pytest.mark.asyncio
async def test_a_mail_that_is_not_there_is_unreadable(make, tmp_path):
    """A spooled file that vanished is trouble of ours, for now."""
    with pytest.raises(reader.Unreadable, match="FileNotFoundError"):
        await make().read(path=str(tmp_path / "gone"), size=100_000)


@pytest.mark.asyncio
async def test_memory_stays_within_four_times_the_mail(make):
    """Reading a mail of 30 MB with an attachment takes its octets and the file's, not many copies."""
    one, raw = make(), mail(os.urandom(22_000_000))
    await one.read(data=raw, size=len(raw))
    status = octets(f"/proc/{worker(one)}/status").decode()
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    assert peak < 4 * len(raw)


@pytest.mark.asyncio
async def test_giving_up_on_a_mail_ends_its_worker(make):
    """A cancelled read leaves no process that answers the next question with the last answer."""
    one, raw = make(), mail(text="x" * 50_000)
    await one.read(data=raw, size=len(raw))
    stuck = worker(one)
    os.kill(stuck, signal.SIGSTOP)
    reading = asyncio.create_task(one.read(data=raw, size=len(raw)))
    await until(lambda: one._busy)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not alive(stuck)
    assert (await one.read(data=raw, size=len(raw))).subject == "Тест"


@pytest.mark.asyncio
async def test_a_worker_retires_after_many_mails(make, monkeypatch):
    """What its allocator keeps does not grow for ever."""
    monkeypatch.setattr(reader, "_MAILS", 2)
    one, raw = make(), mail(text="x" * 50_000)
    await one.read(data=raw, size=len(raw))
    first = worker(one)
    await one.read(data=raw, size=len(raw))
    assert one._idle == []
    assert not alive(first)


@pytest.mark.asyncio
async def test_closing_ends_the_workers(make):
    """Idle ones and busy ones; a mail in the middle is unreadable, and so is any after it."""
    one, raw = make(workers=2), mail(text="x" * 50_000)
    await asyncio.gather(*(one.read(data=raw, size=len(raw)) for _ in range(2)))
    pids = [each.pid for each in one._idle]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    reading = asyncio.create_task(one.read(data=raw, size=len(raw)))
    await until(lambda: one._busy)
    await one.close()
    with pytest.raises(reader.Unreadable):
        await reading
    with pytest.raises(reader.Unreadable, match="closed"):
        await one.read(data=raw, size=len(raw))
    assert not any(alive(pid) for pid in pids)


@pytest.mark.asyncio
async def test_closing_while_a_worker_starts_leaves_none(make):
    """A worker that starts while the reader closes is ended as well."""
    one, raw = make(), mail(text="x" * 50_000)
    reading = asyncio.create_task(one.read(data=raw, size=len(raw)))
    await until(one._turns.locked)
    await one.close()
    with pytest.raises(reader.Unreadable):
        await reading
    assert ([], set()) == (one._idle, one._busy)


@pytest.mark.asyncio
async def test_a_worker_knows_no_secrets(make, monkeypatch):
    """The environment of the server, where keys may stand, is not the worker's."""
    monkeypatch.setenv("SMSC_APIKEY", "secret")
    one, raw = make(), mail(text="x" * 50_000)
    await one.read(data=raw, size=len(raw))
    assert b"secret" not in octets(f"/proc/{worker(one)}/environ")


def test_what_a_worker_says_of_paths_is_not_believed(tmp_path):
    """A file elsewhere is never taken for one of the mail, and no letter is made of nonsense."""
    prefix = str(tmp_path / "part-1-")
    described = {"name": "a", "type": "b/c", "size": 1, "data": "", "cid": "", "inline": False}
    assert reader._file({**described, "path": prefix + "0"}, prefix) == model.File(
        name="a", type="b/c", size=1, path=prefix + "0"
    )
    for path in ("/etc/passwd", prefix + "/../../etc/passwd"):
        with pytest.raises(ValueError, match="none of ours"):
            reader._file({**described, "path": path}, prefix)
    for answer in ({}, {"headers": 1}, {"headers": [], "head": "", "files": [], "auto": "x"}):
        with pytest.raises(reader.Unreadable):
            reader._letter(answer, prefix)


def test_the_worker_answers_line_by_line(tmp_path):
    """Questions and answers, seen from inside; what fails is told by its kind alone."""
    limit = resource.getrlimit(resource.RLIMIT_CPU)
    spooled, prefix = tmp_path / "mail", str(tmp_path / "part-")
    spooled.write_bytes(mail(BIG, b"small"))
    questions = [{"path": str(spooled), "prefix": prefix}, {"path": str(tmp_path / "no"), "prefix": prefix}]
    answers = io.BytesIO()
    try:
        reader_worker.serve(
            io.BytesIO("".join(json.dumps(q) + "\n" for q in questions).encode()), answers, 600
        )
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, limit)
    answers.seek(0)
    first, second = (json.loads(answers.read(int.from_bytes(answers.read(4), "big"))) for _ in range(2))
    assert ("Тест", [prefix + "0", ""]) == (first["subject"], [file["path"] for file in first["files"]])
    assert {"error": "FileNotFoundError"} == second


LINE = b"host1 is down, disk 95 % full\r\n"
HEAD = b"Subject: x\r\nMessage-ID: <1@x>\r\nDate: now\r\n"


@pytest.mark.parametrize(
    ("head", "quick"),
    [
        (b"", True),
        (b"Content-Type: text/plain; charset=utf-8\r\n", True),
        (b"Content-Type: text/plain; charset=koi8-r; format=flowed\r\n", True),
        (b"Content-Type: text/html\r\n", False),
        (b"Content-Type: text/plain; charset=utf-7\r\n", False),
        (b"Content-Type: text/plain; name=a.txt\r\n", False),
        (b"Content-Transfer-Encoding: base64\r\n", False),
        (b"Content-Type: multipart/mixed; boundary=b\r\n", False),
        (b"Content-Disposition: attachment\r\n", False),
    ],
)
@pytest.mark.asyncio
async def test_large_plain_text_is_read_here(make, head, quick):
    """A plain text that is no HTML in disguise needs no process, as its header tells."""
    raw = HEAD + head + b"\r\n" + LINE * 3000
    one = make()
    letter = await one.read(data=raw, size=len(raw))
    assert (quick, not quick) == (content.is_quick(raw), bool(one._idle))
    assert replace(content.read(raw), files=()) == replace(letter, files=())


@pytest.mark.parametrize(
    "begin",
    [
        b"<html>",
        b" \r\n\r\n<!doctype html>",
        b"\xef\xbb\xbf<html>",
        b"Content-Type: text/html\r\n\r\n<b>",
        b"",
        b" \r\n",
    ],
)
def test_what_may_be_html_is_not_quick(begin):
    """A body that begins as HTML does, below a charset's mark or a header that slipped; an empty one."""
    assert not content.is_quick(HEAD + b"\r\n" + begin + (LINE if begin.strip() else b""))


@pytest.mark.asyncio
async def test_very_large_plain_text_goes_to_the_process(make):
    """However plain, what is larger than eight times the usual measure is not read here."""
    raw = HEAD + b"\r\n" + LINE * 10_000
    one = make()
    letter = await one.read(data=raw, size=len(raw))
    assert (content.read(raw), 1) == (letter, len(one._idle))


@pytest.mark.parametrize("before", [b"\r\n", b"\xef\xbb\xbf"])
def test_what_begins_oddly_is_not_quick(before):
    """Empty lines or a mark before the first field: what the mail is shows only once they are gone."""
    assert not content.is_quick(before + HEAD + b"\r\n" + LINE)
