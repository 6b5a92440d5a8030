"""The benchmarks can be run by others: one runs whole here, and what is not whole is said."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCH = Path(__file__).parent / "bench"

SMALL = """
import sys
sys.path.insert(0, sys.argv[1])
import latency, run
latency.MAILS, latency.WARM = 3, 1
latency.holding.program = lambda: ""
sys.exit(run.main(["latency"]))
"""
"""A bench as anybody runs it, but of three mails, and on a machine without Postfix."""


@pytest.fixture
def bench(monkeypatch):
    """The benchmarks' own modules, for as long as a test."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(BENCH)
    yield importlib.import_module("run")
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(BENCH)):
            del sys.modules[name]


def test_one_runs(tmp_path):
    """`run.py latency` ends well, says what it ran on, and prints a table of what it measured."""
    ran = subprocess.run(
        [sys.executable, "-c", SMALL, str(BENCH)], check=False, capture_output=True, text=True, timeout=100,
        cwd=tmp_path, env=os.environ | {"QUICK": "1", "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert (0, "latency took ") == (ran.returncode, ran.stderr[:13]), ran.stderr
    about, _, table = ran.stdout.partition("\n\n")
    for word in ("cores", "Linux", "CPython", "SQLite", "PostgreSQL", "no Postfix", "one round"):
        assert word in about
    header, line, *rows = table.strip().splitlines()
    assert "| work | relay | target | reached | beside |" == header
    assert line.startswith("|---|")
    assert 4 == len(rows)
    for row in rows:
        _, what, figure, *_, beside, _ = row.split("|")
        assert what.startswith(" at rest, ")
        assert float(figure.removesuffix(" ms ")) > 0
        assert beside.startswith(" 3 mails, mean ")
    assert [] == list(tmp_path.glob("relay-bench-*"))


def test_what_was_measured_before_a_bench_failed_stands(bench, tmp_path, monkeypatch):
    """A bench whose time is over, or that fails, keeps its lines, and one says why there are no more."""

    def endless(folder):
        yield bench.Row(what="first", figure="1")
        time.sleep(20)

    def broken(folder):
        yield bench.Row(what="first", figure="1")
        raise KeyError("a | b")

    monkeypatch.setattr(bench, "BENCHES", {"endless": endless, "broken": broken})
    monkeypatch.setattr(bench, "TIMES", {"endless": 0.2, "broken": 20.0})
    rows = [*bench.measured("endless", tmp_path, 1), *bench.measured("broken", tmp_path, 10)]
    assert [
        "| first | 1 |  |  |  |",
        "| endless | failed |  |  | not done within 1 s |",
        "| first | 1 |  |  |  |",
        "| broken | failed |  |  | 'a / b' |",
    ] == bench.table(rows).splitlines()[2:]
    assert [] == list(tmp_path.iterdir())


def test_rounds_that_were_whole_count(bench, tmp_path, monkeypatch):
    """Of several nodes, and of depth, the rounds before the time was over make the lines, which say so."""
    nodes, depth, stage = (sys.modules[name] for name in ("nodes", "depth", "stage"))
    monkeypatch.setattr(stage, "ROUNDS", 3)

    def rounds(folder, seen):
        seen[1] += [{"rate": 200.0, "at_once": 14}, {"rate": 210.0, "at_once": 13}]
        seen[3] += [{"rate": 164.0, "at_once": 14}]
        raise stage.OverError("over")

    monkeypatch.setattr(nodes, "MISSING", "")
    monkeypatch.setattr(nodes, "_rounds", rounds)
    one, three, failed = bench.measured("nodes", tmp_path, 100)
    assert ("205/s", "", "at most 14 calls at once · rounds 200 210 · 2 of 3 rounds") == (
        one.figure, one.reached, one.beside,
    )  # fmt: skip
    assert ("164/s", "0.80", "at most 14 calls at once · rounds 164 · 1 of 3 rounds") == (
        three.figure, three.reached, three.beside,
    )  # fmt: skip
    assert ("nodes", "failed", "over") == (failed.what, failed.figure, failed.beside)

    turns = [(0.00011, 1.0, 99.0), (0.0001, 0.5, 90.0)]

    def measure(folder, queue):
        if not turns:
            raise stage.OverError("over")
        return depth.Seen(*turns.pop())

    monkeypatch.setattr(depth, "fill", lambda *_: None)
    monkeypatch.setattr(depth, "_measure", measure)
    cost, ready, memory, failed = bench.measured("depth", tmp_path, 100)
    assert ("110 µs", "1.10 ×") == (cost.figure, cost.reached)
    assert ("1.0 s", "99 MB") == (ready.figure, memory.figure)
    assert cost.beside.endswith(" · 1 of 3 rounds")
    assert "failed" == failed.figure


def test_where_nothing_was_measured_nothing_is_said(bench, tmp_path, monkeypatch):
    """A bench that has had no whole round has no figure, and what is not installed is said to be skipped."""
    nodes, depth = sys.modules["nodes"], sys.modules["depth"]
    assert [] == [*nodes.rows({1: [], 3: []}), *depth.rows({4000: [], 1_000_000: []})]
    monkeypatch.setattr(nodes, "MISSING", "it is not installed")
    assert ["skipped: it is not installed"] == [row.beside for row in bench.measured("nodes", tmp_path, 100)]


def test_middle_of_rounds(bench, monkeypatch):
    """Contenders take turns; the medians count, and what is warming up does not."""
    stage, asked = sys.modules["stage"], []

    def contender(name):
        def measure(turn):
            asked.append(f"{name}{turn}")
            return stage.Seen(rate=(1000.0, 30.0, 10.0, 20.0)[turn], cost=(9.0, 0.003, 0.001, 0.002)[turn])

        return measure

    monkeypatch.setattr(stage, "ROUNDS", 3)
    seen = stage.in_turns({"relay": contender("a"), "Postfix": contender("b")}, warm=1)
    assert ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"] == asked
    assert {stage.Seen(rate=20.0, cost=0.002)} == set(seen.values())
    row = stage.against("accept", seen, "Postfix", "≥ 5 ×")
    assert ("accept, against Postfix", "20/s", "1.00 ×") == (row.what, row.figure, row.reached)
    assert row.beside.endswith("processor 2000 µs, Postfix 2000 µs, which is 1.00 ×")
