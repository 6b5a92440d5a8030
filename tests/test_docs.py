"""The documents tell of what there is, and of nothing else.

Settings, channels, addresses and fates are compared with their pages beside their own tests
(tests/config/test_documented.py, tests/message, tests/smsc/sandbox/test_fates.py). Here is
the rest: commands, metrics, states, log events, links, command lines, the first configuration.
"""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from relay import config, metrics
from relay.cli import main
from relay.cli.check import complaints
from relay.model import Rest
from relay.queue import states
from relay.queue.states import FINAL, MOVES, State

ROOT = Path(__file__).parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md")))
}
README, OPERATIONS, STATES = PAGES["README.md"], PAGES["docs/operations.md"], PAGES["docs/states.md"]


def rows(page, heading):
    """The table rows under a heading of the page, as lists of cells."""
    section = page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def named(cells):
    """What stands in code marks in a cell."""
    return re.findall(r"`([^`]+)`", cells)


# -- the command line ---------------------------------------------------------------------


def commands(group=main, path=()):
    """Every command that does something, by its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def options(command):
    """The command's options as they are typed, without --help."""
    each = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    return {name for option in each for name in (*option.opts, *option.secondary_opts)}


COMMANDS = dict(commands())
COMMAND_ROWS = {named(cells[0])[0]: cells for cells in rows(OPERATIONS, "The command line")}


def test_every_command_is_documented():
    """docs/operations.md has a row for each command, and no row for another."""
    assert set(COMMANDS) == set(COMMAND_ROWS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name):
    """The row of a command names its options, and no others."""
    assert options(COMMANDS[name]) == set(named(COMMAND_ROWS[name][1]))


def test_the_options_of_all_commands_are_documented():
    """What stands before a command is explained above the table."""
    text = OPERATIONS.split("\n## The command line\n", 1)[1].split("\n| Command", 1)[0]
    assert options(main) - {"--config"} <= set(re.findall(r"(?<!\w)--?\w+", text))


_START = re.compile(r"(?:^|[=;&|]\s*|sudo -u \S+ |docker exec \S+ |\$ )(?:/\S*/)?smsc-relay(?= |$)")
_END = re.compile(r"\s(?:\||&&|>|#)(?:\s|$)|;")
_ANYTHING = {"COMMAND", "…"}


def typed(page):
    """The `smsc-relay …` command lines of a page: in its code blocks and between code marks."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *named(prose)]:
        for start in _START.finditer(line):
            yield _END.split(line[start.end() :], maxsplit=1)[0].strip()


def complaint(line):
    """What is wrong with the words after `smsc-relay`; "" where they can be typed so."""
    command, words, given = main, shlex.split(line), 0
    while words:
        word = words.pop(0)
        known = {name: o for o in command.params if isinstance(o, click.Option) for name in o.opts}
        if word in _ANYTHING:
            return ""
        if word.startswith("-") and word not in {"-h", "--help"}:
            name, _, value = word.partition("=")
            if name not in known:
                return f"no option {name}"
            if not known[name].is_flag and not value:
                words[:1] = []
        elif isinstance(command, click.Group) and not word.startswith("-"):
            found = command.get_command(click.Context(command), word)
            if found is None:
                return f"no command {word}"
            command = found
        else:
            given += 1
    most = sum(p.nargs if p.nargs > 0 else 1000 for p in command.params if isinstance(p, click.Argument))
    return "too many words" if given > most and not isinstance(command, click.Group) else ""


LINES = [(name, line) for name, page in PAGES.items() for line in typed(page)]


@pytest.mark.parametrize(("page", "line"), LINES, ids=[f"{page}: {line}" for page, line in LINES])
def test_command_lines_can_be_typed(page, line):
    """Each command line that a document shows names a command and options that exist."""
    assert "" == complaint(line)


def test_command_lines_are_found():
    """Blocks, prose, units and containers are all looked through."""
    page = "`smsc-relay check`\n```\nExecStart=/opt/bin/smsc-relay serve -c x\ncd smsc-relay && make\n"
    page += "docker exec relay smsc-relay queue list | less\n```\nsmsc-relay is a relay\n"
    assert ["serve -c x", "queue list", "check"] == list(typed(page))
    assert {"README.md", "docs/operations.md", "docs/configuration.md"} <= {name for name, _ in LINES}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("serv", "no command serv"),
        ("queue liste", "no command liste"),
        ("queue list --all", "no option --all"),
        ("check --once", "no option --once"),
        ("nodes one", "too many words"),
        ("-c x queue show ID --json", ""),
    ],
)
def test_wrong_command_lines_are_noticed(line, said):
    """The test above can fail."""
    assert said == complaint(line)


# -- metrics, log, states -----------------------------------------------------------------


def test_every_metric_is_documented():
    """docs/operations.md has a row for each metric under its exposed name, with its labels."""
    exposed = {}
    for collector in metrics.REGISTRY._collector_to_names:
        [family] = collector.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        exposed[name] = list(collector._labelnames)
    assert exposed == {named(cells[0])[0]: named(cells[1]) for cells in rows(OPERATIONS, "Metrics")}


_LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def events(source):
    """What a module logs: the first argument of each call of its logger, `…` where a value stands."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="_log" | "log"), attr=level)) if (
                level in _LEVELS
            ):
                first = node.args[0]
                assert isinstance(first, ast.Constant), f"line {node.lineno}: an event is a constant"
                yield first.value.replace("%s", "…"), "error" if level == "exception" else level


def test_every_log_event_is_documented():
    """docs/operations.md has a row for each event and its level, and no row for another."""
    logged = {each for path in ROOT.glob("relay/**/*.py") for each in events(path.read_text("utf-8"))}
    assert logged == {(named(cells[0])[0], cells[1]) for cells in rows(OPERATIONS, "The log")}


def fields(source):
    """The fields of each event of a module: the keys of its `extra`, or that it has a traceback."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="_log" | "log"), attr=level)) if (
                level in _LEVELS
            ):
                given = {each.arg: each.value for each in node.keywords}
                inside = ast.walk(given.get("extra", node.args[0]))
                keys = [key for each in inside if isinstance(each, ast.Dict) for key in each.keys if key]
                traced = level == "exception" or "exc_info" in given
                names = {*(key.value for key in keys), *["traceback"] * traced}
                yield node.args[0].value.replace("%s", "…"), frozenset(names)


def test_every_field_of_the_log_is_documented():
    """What a line may hold is known: no field joins an event unseen."""
    logged = {each for path in ROOT.glob("relay/**/*.py") for each in fields(path.read_text("utf-8"))}
    listed = [
        (named(cells[0])[0], re.sub(r" \(.*?\)", "", cells[2])) for cells in rows(OPERATIONS, "The log")
    ]
    assert logged == {(event, frozenset(names.strip("–").split(", ")) - {""}) for event, names in listed}


def test_every_reason_to_rest_is_documented():
    """An operator finds each reason that /readyz can name."""
    found = {named(cells[0])[0] for cells in rows(OPERATIONS, "When an account rests")}
    assert {rest.value for rest in Rest if rest} == found


def test_the_picture_of_the_states_is_the_table():
    """docs/states.md holds exactly what `states.diagram()` draws."""
    assert [states.diagram()] == re.findall(r"^```mermaid\n(.*?)\n```$", STATES, re.MULTILINE | re.DOTALL)


def test_every_state_is_explained():
    """Each state has a row that says whether it is final."""
    explained = [(named(cells[0])[0], cells[1]) for cells in rows(STATES, "The states")]
    assert [(state.value, "yes" if state in FINAL else "no") for state in State] == explained


def test_every_move_is_explained():
    """Each move has a row, in the order of the table."""
    moves = [[f"`{one}`", event, f"`{to}`"] for one, row in MOVES.items() for event, to in row.items()]
    assert moves == [cells[:3] for cells in rows(STATES, "The moves")]
    assert all(cells[3] for cells in rows(STATES, "The moves"))


# -- faults -------------------------------------------------------------------------------

RELIABILITY = PAGES["docs/reliability.md"]
SHOWN = sorted(set(re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", RELIABILITY)))


@pytest.mark.parametrize(("file", "test"), SHOWN)
def test_what_shows_a_fault_is_there(file, test):
    """docs/reliability.md names tests that there are, each in a file of that name."""
    found = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob(file))
    assert re.search(rf"^(async )?def {test or 'test_'}", found, re.MULTILINE)


def test_every_fault_names_its_test():
    """No row of the table goes without."""
    table = [line for line in RELIABILITY.splitlines() if line.startswith("| ")][1:]
    assert len(table) >= 14
    assert [] == [line for line in table if "::test_" not in line]


# -- links and the first configuration ----------------------------------------------------


def anchors(page):
    """The places of a page that a link can name."""
    heads = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


LINKS = [(name, to) for name, page in PAGES.items() for to in re.findall(r"\]\(([^)\s]+)\)", page)]
RELATIVE = [(name, to) for name, to in LINKS if not re.match(r"[a-z]+:", to)]


@pytest.mark.parametrize(("page", "link"), RELATIVE, ids=[f"{page}: {to}" for page, to in RELATIVE])
def test_links_lead_somewhere(page, link):
    """Each relative link names a file that exists, and a heading of it."""
    path, _, anchor = link.partition("#")
    target = (ROOT / page).parent / path if path else ROOT / page
    assert target.exists()
    assert not anchor or anchor in anchors(target.read_text("utf-8"))


@pytest.mark.parametrize("name", sorted(name for name in PAGES if name.startswith("docs/")))
def test_every_page_can_be_reached(name):
    """The README links to each page, or to a page that does, or to the folder."""
    linked = {(ROOT / page).parent.joinpath(to.partition("#")[0]).resolve() for page, to in RELATIVE}
    assert linked & {(ROOT / name).resolve(), (ROOT / name).parent.resolve()}


FIRST = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_first_real_configuration_has_ten_lines():
    """There is one such block in the README, and it is as short as it says."""
    assert [10] == [block.count("\n") for block in FIRST]


def test_the_first_real_configuration_loads(tmp_path):
    """It is good as it stands, without a warning, and reaches the real provider."""
    path = tmp_path / "config.yaml"
    path.write_text(FIRST[0], "utf-8")
    (tmp_path / "apikey").write_text("secret\n")
    loaded = config.load(path)
    assert [] == [*loaded.warnings, *complaints(loaded)]
    assert "https://smsc.ru" == loaded.config.accounts["main"].url
