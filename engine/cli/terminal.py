"""What commands share: what is typed, how it is read, and how answers are printed."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from engine import store

# Where nobody looks (a pipe, a file) nothing is folded to a window.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object (or list) instead of text.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, as `mobiscope runs` lists it.")]
CityName = Annotated[str, typer.Argument(metavar="CITY", help="Name or slug of a saved city.")]


def pairs(typed: list[str] | None, option: str) -> dict[str, str]:
    """`KEY=VALUE` words as a dict.

    Raises:
        typer.BadParameter: If one has another form.
    """
    found = {}
    for text in typed or []:
        key, sign, rest = text.partition("=")
        if not sign or not key.strip():
            raise typer.BadParameter(f"{text!r} is not of the form KEY=VALUE.", param_hint=option)
        found[key.strip()] = rest.strip()
    return found


def values(typed: list[str] | None, option: str) -> dict[str, Any]:
    """`KEY=VALUE` words as a dict of values: JSON where it is JSON (numbers, true, null, lists), else the text itself."""
    return {key: _value(text) for key, text in pairs(typed, option).items()}


def word(given: Any) -> str:
    """A value as `values` reads it back."""
    return given if isinstance(given, str) and _value(given) == given else json.dumps(given)


def _value(text: str) -> Any:
    try:
        return store.parse_json(text)
    except ValueError:
        return text


def print_json(value: Any) -> None:
    """One line of JSON on standard output."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False, default=str))


@contextmanager
def bar(doing: str, quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """A progress bar on standard error, fed by a `Report`."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), console=err, disable=quiet, transient=True
    ) as bar:
        task = bar.add_task(escape(doing), total=1.0)
        yield lambda text, share: bar.update(task, description=escape(text), completed=share)
