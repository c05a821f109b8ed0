"""What needs a package beyond torch: tables by rich, pictures by matplotlib. Each is imported where it is used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

__all__ = ["optional", "table"]


def optional(module: str, what: str, package: str = "") -> Any:
    """An optional package's module; ``package`` is what installs it, where that is not the module's own name.

    Raises:
        ImportError: it is not installed; the message holds the command that installs it.

    Example:
        >>> optional("no_such_package.part", "pictures")
        Traceback (most recent call last):
        ...
        ImportError: pictures need no_such_package; install it with: python -m pip install no_such_package
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        own = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != own:
            raise
        package = package or own
        raise ImportError(f"{what} need {package}; install it with: python -m pip install {package}") from error


def table(title: str, columns: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]], caption: str = "") -> None:
    """Print rows under a title with rich: the last cell of each in red unless all is well with it."""
    optional("rich", "tables")
    console_type: Any = import_module("rich.console").Console
    escape: Any = import_module("rich.markup").escape
    made: Any = import_module("rich.table").Table(title=title, caption=caption or None, caption_justify="left")
    for place, column in enumerate(columns):
        made.add_column(column, overflow="fold" if place in (0, len(columns) - 1) else "ellipsis")
    for cells, well in rows:
        *before, last = map(escape, cells)
        made.add_row(*before, last if well else f"[bold red]{last}[/]")
    # Off a terminal rich would assume 80 columns and cut names short.
    console = console_type()
    (console if console.is_terminal else console_type(width=200)).print(made)
