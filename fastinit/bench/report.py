"""Where figures go: a table on the terminal, a JSON file with the machine beside them, a progress bar meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from .machine import Facts, headline

SCHEMA: Final = 1  # of the JSON files; a change of meaning raises it
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


def show(title: str, machine: Facts, columns: Sequence[str], rows: Iterable[Sequence[str]], notes: str = "") -> None:
    """Prints a table under the machine's name; the first column is text, the others are figures."""
    table = Table(title=f"{title}\n{headline(machine)}", caption=notes or None, caption_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right", no_wrap=place == 0)
    for row in rows:
        table.add_row(*row)
    # Off a terminal (a log, a pipe) rich would assume 80 columns and cut names short.
    console = Console()
    Console(width=None if console.is_terminal else 160).print(table)


def figure(value: float | None, digits: int = 3) -> str:
    """A figure to so many significant digits; a dash where there is none.

    >>> figure(1234.5), figure(0.04567), figure(None)
    ('1,234', '0.0457', '-')
    """
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
