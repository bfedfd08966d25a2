"""Commands about cities: synth, ingest, describe, export."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from engine.cli.terminal import AsJson, CityName, bar, out, print_json
from engine.errors import CityError, ConfigError, MobiscopeError

Replace = Annotated[bool, typer.Option("--replace", help="Replace a city of that name; runs trained on it no longer open.")]


def synth(
    size: Annotated[str, typer.Option(help="tiny, demo, or about how many visits there should be.")] = "demo",
    name: Annotated[str | None, typer.Option(help="Name of the city.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another city.")] = 0,
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Generate the synthetic city and save it."""
    from engine.city.synthetic import NAME, synthesise

    if size not in ("tiny", "demo") and not (size.isdecimal() and int(size) > 0):
        raise typer.BadParameter(f"{size!r} is neither tiny, demo nor a number of visits.", param_hint="--size")
    _refuse_replacing(name or NAME, replace)
    with bar("Generating the city", as_json) as report:
        chosen: Any = size if size in ("tiny", "demo") else int(size)
        city = synthesise(chosen, seed=seed, name=name, report=report).save()
    _tell_city(city, as_json)


def ingest(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="What to read; several files make one city.")],
    name: Annotated[str, typer.Option(help="Name of the city.")],
    mapping: Annotated[
        list[str] | None, typer.Option("--map", metavar="COLUMN=FIELD", help="Which column is what. Repeatable.")
    ] = None,
    reader: Annotated[str | None, typer.Option(help="Read the files as this, whatever they look like.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="IANA zone of times without an offset, e.g. Europe/Berlin.")] = None,
    option: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Option of the reader. Repeatable.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="A recipe file (YAML); what is given here goes on top of it.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say what was recognised; save nothing.")] = False,
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Read files into a saved city; every problem is listed at once and nothing is dropped silently."""
    from engine.city.ingest import IngestChoices, inspect
    from engine.city.ingest import ingest as read_files

    choices = IngestChoices.load(recipe) if recipe else IngestChoices()
    try:
        choices = choices.with_pairs(mapping or [], option or [], reader)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
    if time_zone:
        choices = choices.model_copy(update={"time_zone": time_zone})
    if check:
        found = inspect(files, choices)
        print_json(found.model_dump(mode="json")) if as_json else _print_inspection(found)
        if not found.is_ready:
            raise typer.Exit(1)
        return
    _refuse_replacing(name, replace)
    with bar(f"Reading {len(files)} file{'s' if len(files) > 1 else ''}", as_json) as report:
        city = read_files(files, name, choices, report)
    _tell_city(city, as_json)


def describe(city: CityName, as_json: AsJson = False) -> None:
    """Say what a city holds, where it came from, and what was dropped on the way."""
    from engine.city.city import open_city

    _tell_city(open_city(city), as_json)


def export(
    city: CityName,
    to: Annotated[Literal["geoparquet", "csv", "geojson", "libcity"], typer.Option(help="Format.")],
    folder: Annotated[Path | None, typer.Option(help="Where to write; default ./<city>-<format>.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a city's tables to files other programs read."""
    from engine import store
    from engine.city.city import open_city
    from engine.city.writers import export_city

    opened = open_city(city)
    target = folder or Path(f"{store.slug(opened.name)}-{to}")
    try:
        written = export_city(opened, target, to)
    except OSError as error:
        raise MobiscopeError(f"`{target}` cannot be written: {error.strerror}.") from None
    if as_json:
        print_json({"city": opened.name, "files": [str(path) for path in written]})
    else:
        for path in written:
            out.print(escape(str(path)), soft_wrap=True)


def _refuse_replacing(name: str, replace: bool) -> None:
    from engine import store
    from engine.runs import cost_of_replacing

    cost = "" if replace else cost_of_replacing(store.slug(name))
    if cost:
        raise CityError(f"{cost} Give another --name, or add --replace.")


def _tell_city(city: Any, as_json: bool) -> None:
    from engine import store

    info = city.info.model_dump(mode="json")
    if as_json:
        print_json(info | {"slug": store.slug(city.name), "fingerprint": city.fingerprint})
        return
    out.print(escape(f"{city.name} ({store.slug(city.name)}), {city.time_zone}, {city.metric_crs}, data {city.fingerprint[:12]}"))
    for table, rows in city.info.rows.items():
        out.print(f"  {table:<14} {rows:>10,} rows")
    for file in city.info.data_card.files:
        out.print(escape(f"{file.file}: {file.recognised_as}, {file.rows_kept:,} of {file.rows_in:,} rows kept"), soft_wrap=True)
        for rule in file.dropped:
            out.print(escape(f"  {rule.rows:,} dropped ({rule.reason}): {rule.explanation}"), soft_wrap=True)
        for repair in file.repairs:
            out.print(escape(f"  {repair}"), soft_wrap=True)
    for assumption in city.info.data_card.assumptions:
        out.print(escape(assumption), soft_wrap=True)


def _print_inspection(found: Any) -> None:
    for file in found.files:
        out.print(escape(f"{file.file}: {file.title or 'not recognised'} (confidence {file.confidence:.0%})"), soft_wrap=True)
        for field, column in file.mapping.items():
            out.print(escape(f"  {column} -> {field}"), soft_wrap=True)
    for table, rows in found.tables.items():
        out.print(f"  {table:<14} {rows:>10,} rows")
    out.print(escape(f"Time zone {found.time_zone}{'' if found.zone_is_certain else ' (a guess)'}"))
    for problem in found.problems:
        out.print(escape(str(problem)), soft_wrap=True)
