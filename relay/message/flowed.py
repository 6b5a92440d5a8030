"""format=flowed undone (RFC 3676): lines that end in a space go on in the next one."""

from __future__ import annotations


def unfold(text: str, *, delsp: bool) -> str:
    """The text with its paragraphs on lines of their own; `delsp`: the space was only a sign."""
    lines: list[str] = []
    depth, open_line = 0, False  # of the line before: its quotes, and whether it goes on
    for line in text.split("\n"):
        bare = line.lstrip(">")
        quotes = len(line) - len(bare)
        bare = bare.removeprefix(" ")  # space-stuffing
        signature = bare == "-- "
        flows = bare.endswith(" ") and not signature
        content = bare[:-1] if flows and delsp else bare
        if open_line and quotes == depth and not signature:
            lines.append(content)
        else:
            lines.append(("\n" if lines else "") + (">" * quotes + " " if quotes else "") + content)
        depth, open_line = quotes, flows
    return "".join(lines)
