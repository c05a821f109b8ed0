"""Where figures go: tables on the terminal or in Markdown, a JSON file with the machine beside them, a progress bar."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from .machine import Facts, headline

SCHEMA: Final = 1  # of the JSON files; a change of meaning raises it
MISSED: Final = "NO"  # in a table: a promise that was not kept
T = TypeVar("T")


def progress(items: Sequence[T], what: str) -> Iterator[T]:
    """The items, with a bar on standard error that goes when they end."""
    yield from tqdm(items, desc=what, leave=False)


def save_json(path: Path, suite: str, machine: Facts, results: Mapping[str, object]) -> None:
    """Writes the results with what is needed to read them later: schema, suite, machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"schema": SCHEMA, "suite": suite, "machine": machine, **results}
    lines = (f"{json.dumps(name)}: {_entries(value)}" for name, value in content.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _entries(value: object) -> str:
    """A list with one entry a line, so that two runs can be compared line by line; anything else as it is."""
    if not isinstance(value, list):
        return json.dumps(value)
    return "[\n" + ",\n".join(json.dumps(entry) for entry in value) + "\n]"


@dataclass(frozen=True)
class Sheet:
    """A table before it is printed or written; the first column is text, the others are figures."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: str = ""


def show(machine: Facts, sheet: Sheet) -> None:
    """Prints a table under the machine's name."""
    title = f"{sheet.title}\n{headline(machine)}"
    table = Table(title=title, caption=sheet.notes or None, caption_justify="left")
    for place, column in enumerate(sheet.columns):
        table.add_column(column, justify="left" if place == 0 else "right", no_wrap=place == 0)
    for row in sheet.rows:
        table.add_row(*("[bold red]NO[/]" if cell == MISSED else escape(cell) for cell in row))
    # Off a terminal (a log, a pipe) rich would assume 80 columns and cut names short.
    console = Console()
    Console(width=None if console.is_terminal else 160).print(table)


def save_markdown(path: Path, title: str, machine: Facts, sheets: Iterable[Sheet]) -> None:
    """Writes the tables and what is known of the machine, for a reader without a terminal."""
    parts = [f"# {title}", headline(machine)]
    for sheet in (*sheets, Sheet("Machine", ("", ""), [(name, str(value)) for name, value in machine.items()])):
        rule = [":--", *["--:"] * (len(sheet.columns) - 1)]
        lines = "\n".join(f"| {' | '.join(cells)} |" for cells in (sheet.columns, rule, *sheet.rows))
        parts += [f"## {sheet.title}", lines, *([sheet.notes] if sheet.notes else [])]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def figure(value: float | None, digits: int = 3) -> str:
    """A figure to so many significant digits; a dash where there is none.

    >>> figure(1234.5), figure(0.04567), figure(None)
    ('1,234', '0.0457', '-')
    """
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
