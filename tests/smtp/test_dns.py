"""DNS answers: what there is, that there is nothing, and that nobody can say; remembered, and bounded."""

from __future__ import annotations

import asyncio

import pytest
from nameserver import CUT, SERVFAIL, SILENT, nameserver

from relay.smtp import dns
from relay.smtp.dns import Answer, Kind, Resolver, Trouble

ZONE = {
    "mon.example.com": [
        ("TXT", ["v=spf1 ", "-all"]),
        ("A", "192.0.2.7"),
        ("MX", (10, "mx.example.com")),
        ("AAAA", "2001:db8::7"),
    ],
    "7.2.0.192.in-addr.arpa": [("PTR", "mon.example.com")],
    "alias.example.com": [("CNAME", "mon.example.com")],
    "nowhere.example.com": [("CNAME", "gone.example.com")],
    "loop.example.com": [("CNAME", "loop.example.com")],
    "broken.example.com": SERVFAIL,
    "silent.example.com": SILENT,
    "cut.example.com": CUT,
    "large.example.com": [("TXT", "x" * 5000), ("TXT", "fits")],
    "crumbs.example.com": [("TXT", [""] * 5000), ("TXT", "fits")],
    "many.example.com": [("TXT", f"{n}") for n in range(150)],
}


def resolver(server, timeout: float = 5.0) -> Resolver:
    """One that asks this server."""
    return Resolver([("127.0.0.1", server.port)], timeout=timeout)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "kind", "wanted"),
    [
        ("mon.example.com", "TXT", Answer(Kind.FOUND, ((b"v=spf1 ", b"-all"),))),
        ("MON.example.com.", "A", Answer(Kind.FOUND, ("192.0.2.7",))),
        ("mon.example.com", "AAAA", Answer(Kind.FOUND, ("2001:db8::7",))),
        ("mon.example.com", "MX", Answer(Kind.FOUND, ((10, "mx.example.com"),))),
        ("7.2.0.192.in-addr.arpa", "PTR", Answer(Kind.FOUND, ("mon.example.com",))),
        ("alias.example.com", "A", Answer(Kind.FOUND, ("192.0.2.7",))),
        ("mon.example.com", "PTR", Answer(Kind.NO_RECORDS)),
        ("gone.example.com", "A", Answer(Kind.NO_NAME)),
        ("nowhere.example.com", "A", Answer(Kind.NO_NAME)),
        ("a..example.com", "A", Answer(Kind.NO_NAME)),
        ("a" * 64 + ".example.com", "A", Answer(Kind.NO_NAME)),
        (".".join(["a" * 60] * 5), "A", Answer(Kind.NO_NAME)),
        ("", "A", Answer(Kind.NO_NAME)),
        ("cut.example.com", "TXT", Answer(Kind.FOUND, ((b"whole",),))),
        ("large.example.com", "TXT", Answer(Kind.FOUND, ((b"fits",),))),
        ("crumbs.example.com", "TXT", Answer(Kind.FOUND, ((b"fits",),))),
    ],
)
async def test_answers(name, kind, wanted):
    """Each kind of record, aliases followed, over TCP where UDP is cut; a name that can't be is none."""
    async with nameserver(ZONE) as server:
        assert wanted == await resolver(server).ask(name, kind)


@pytest.mark.asyncio
async def test_many_records_are_cut():
    """A hundred are looked at."""
    async with nameserver(ZONE) as server:
        assert dns.RECORDS == len((await resolver(server).ask("many.example.com", "TXT")).values)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "patience", "kind"),
    [
        ("broken.example.com", 5.0, Kind.FAILED),
        ("loop.example.com", 5.0, Kind.FAILED),
        ("silent.example.com", 0.3, Kind.TIMEOUT),
    ],
)
async def test_trouble(name, patience, kind):
    """It is never an answer, and never remembered."""
    async with nameserver(ZONE) as server:
        asker = resolver(server, patience)
        for times in (1, 2):
            with pytest.raises(Trouble, match=name) as trouble:
                await asker.ask(name, "A")
            assert kind is trouble.value.kind
            assert times <= len(server.asked)


@pytest.mark.asyncio
async def test_no_server_at_all():
    """Nobody listens there."""
    async with nameserver({}) as server:
        port = server.port
    with pytest.raises(Trouble):
        await Resolver([("127.0.0.1", port)], timeout=0.5).ask("mon.example.com", "A")


@pytest.mark.asyncio
async def test_answers_are_remembered():
    """What there is and what there is not, for names in whatever case."""
    async with nameserver(ZONE) as server:
        asker = resolver(server)
        for name in ("mon.example.com", "MON.example.com.", "gone.example.com", "gone.example.com"):
            await asker.ask(name, "A")

    assert ["mon.example.com", "gone.example.com"] == [name for name, _, _ in server.asked]


@pytest.mark.asyncio
async def test_what_is_remembered_is_bounded(monkeypatch):
    """The answer that was wanted longest ago goes."""
    monkeypatch.setattr(dns, "KEPT", 2)
    async with nameserver(ZONE) as server:
        asker = resolver(server)
        for name in ("a.test", "b.test", "a.test", "c.test", "a.test", "b.test"):
            await asker.ask(name, "A")

    assert ["a.test", "b.test", "c.test", "b.test"] == [name for name, _, _ in server.asked]


@pytest.mark.asyncio
async def test_what_is_remembered_takes_so_much_memory(monkeypatch):
    """A stranger's zone may be full of long answers: the oldest go, and what asks again counts once."""
    monkeypatch.setattr(dns, "KEPT_OCTETS", 10_000)
    long = {f"{name}.test": [("TXT", "x" * 4000)] for name in "abcd"}
    async with nameserver({**long, "huge.test": [("TXT", f"{n:03}" * 1000) for n in range(15)]}) as server:
        asker = resolver(server)
        for name in ("a.test", "b.test", "a.test", "c.test", "a.test", "b.test", "huge.test", "huge.test"):
            await asker.ask(name, "TXT")

        asked = [name for name, _, _ in server.asked]
        assert ["a.test", "b.test", "c.test", "b.test", "huge.test", "huge.test"] == asked
        assert 0 == asker._octets == len(asker._kept)


@pytest.mark.asyncio
async def test_an_answer_that_is_asked_for_again_is_kept_once():
    """Its time is over, or two wanted it at once: the later one stands for it."""
    async with nameserver(ZONE) as server:
        asker = resolver(server)
        await asyncio.gather(*[asker.ask("mon.example.com", "A") for _ in range(3)])
        once = asker._octets
        await asker.ask("mon.example.com", "A")

        assert (1, once) == (len(asker._kept), asker._octets)
        await asker.ask("alias.example.com", "A")
        assert 2 * once == asker._octets


@pytest.mark.asyncio
async def test_many_questions_at_once():
    """All are answered, though not all are asked at the same time."""
    zone = {f"n{n}.example.com": [("A", "192.0.2.1")] for n in range(200)}
    async with nameserver(zone) as server:
        asker = resolver(server)
        found = await asyncio.gather(*(asker.ask(name, "A") for name in zone))

    assert {Kind.FOUND} == {each.kind for each in found}
