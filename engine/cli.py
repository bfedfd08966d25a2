"""The command line: the same configuration objects as the forms, progress bars, `--json`, and exit codes that scripts can trust.

0: done. 1: refused or failed, with the sentence on standard error. 2: wrong usage. Heavy modules are imported by the command that
needs them, so that `--help` is immediate.
"""

import json
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column, Table

import engine
from engine.errors import IngestError, MobiscopeError, settings_sentence

app = typer.Typer(
    help="A microscope for human-mobility models: bring a city, train a model on it, look inside.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
runs_app = typer.Typer(help="List runs, look at one, cancel, resume, rename or delete it.", invoke_without_command=True)
app.add_typer(runs_app, name="runs")

# Where nobody looks (a pipe, a file) nothing is folded to a window.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object (or list) instead of text.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, as `mobiscope runs` lists it.")]
CityName = Annotated[str, typer.Argument(metavar="CITY", help="Name or slug of a saved city.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point of `mobiscope`; always ends by raising SystemExit."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        app(args=list(arguments), prog_name="mobiscope")
    except (MobiscopeError, ValidationError) as error:
        sentence = settings_sentence(error) if isinstance(error, ValidationError) else str(error)
        if "--json" in arguments:
            problems = [vars(problem) for problem in error.problems] if isinstance(error, IngestError) else []
            _print_json({"error": sentence} | ({"problems": problems} if problems else {}))
        err.print(escape(sentence), soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def command_for(request: Any) -> str:
    """The command line that does what a form is about to do.

    Args:
        request: A `RunRequest`. Settings that are the preset's own are left out.
    """
    from engine.city.splits import Split
    from engine.runs.building import model_class

    preset = model_class(request.model).Config.preset(request.preset).model_dump(mode="json")
    words = ["mobiscope", "train", request.model, "--city", request.city, "--preset", request.preset]
    for field, value in request.config.items():
        if field not in preset or value != preset[field]:
            words += ["--set", f"{field}={_word(value)}"]
    plain = Split().model_dump(mode="json")
    for field, value in request.split.model_dump(mode="json").items():
        if value != plain[field]:
            words += ["--split", f"{field}={_word(value)}"]
    for option in ("seed", "name", "device"):
        if getattr(request, option) != type(request).model_fields[option].default:
            words += [f"--{option}", str(getattr(request, option))]
    return shlex.join(words)


# ---- cities -------------------------------------------------------------------------------------------------------------------


@app.command()
def synth(
    size: Annotated[str, typer.Option(help="tiny, demo, or about how many visits there should be.")] = "demo",
    name: Annotated[str | None, typer.Option(help="Name of the city.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another city.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Generate the synthetic city and save it."""
    from engine.city.synthetic import synthesise

    if size not in ("tiny", "demo") and not (size.isdigit() and int(size) > 0):
        raise typer.BadParameter(f"{size!r} is neither tiny, demo nor a number of visits.", param_hint="--size")
    with _bar("Generating the city", as_json) as report:
        chosen: Any = size if size in ("tiny", "demo") else int(size)
        city = synthesise(chosen, seed=seed, name=name, report=report).save()
    _tell_city(city, as_json)


@app.command()
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
    as_json: AsJson = False,
) -> None:
    """Read files into a saved city; every problem is listed at once and nothing is dropped silently."""
    from engine.city.ingest import ALL_FILES, IngestChoices, inspect
    from engine.city.ingest import ingest as read_files

    choices = IngestChoices.load(recipe) if recipe else IngestChoices()
    choices = choices.with_pairs(_checked_pairs(mapping, "--map"), _checked_pairs(option, "--option"))
    if reader:
        common = choices.of(ALL_FILES).model_copy(update={"reader": reader})
        choices = choices.model_copy(update={"files": choices.files | {ALL_FILES: common}})
    if time_zone:
        choices = choices.model_copy(update={"time_zone": time_zone})
    if check:
        found = inspect(files, choices)
        _print_json(found.model_dump(mode="json")) if as_json else _print_inspection(found)
        if not found.is_ready:
            raise typer.Exit(1)
        return
    with _bar(f"Reading {len(files)} file{'s' if len(files) > 1 else ''}", as_json) as report:
        city = read_files(files, name, choices, report)
    _tell_city(city, as_json)


@app.command()
def describe(city: CityName, as_json: AsJson = False) -> None:
    """Say what a city holds, where it came from, and what was dropped on the way."""
    from engine.city.city import open_city

    _tell_city(open_city(city), as_json)


@app.command()
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
        _print_json({"city": opened.name, "files": [str(path) for path in written]})
    else:
        for path in written:
            out.print(escape(str(path)), soft_wrap=True)


# ---- training and asking ------------------------------------------------------------------------------------------------------


@app.command()
def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Key of a model, e.g. calliper.")],
    city: Annotated[str, typer.Option(help="Name or slug of a saved city.")],
    preset: Annotated[str, typer.Option(help="Named settings of the model.")] = "demo",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a setting. Repeatable.")
    ] = None,
    split: Annotated[list[str] | None, typer.Option(metavar="FIELD=VALUE", help="Change the split. Repeatable.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws weights, batches and dropout.")] = 0,
    name: Annotated[str, typer.Option(help="What to call the run.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start training in the background and print the run's id; `--wait` follows it."""
    from engine.city.splits import Split
    from engine.runs import Run, RunRequest, submit

    fields = {"model": model, "city": city, "preset": preset, "seed": seed, "name": name, "device": device}
    request = RunRequest.model_validate(
        fields | {"config": _values(settings, "--set"), "split": Split.model_validate(_values(split, "--split"))}
    )
    run_id = submit(request)
    if not wait:
        _print_json({"run": run_id, **_status_json(run_id)}) if as_json else out.print(run_id)
        return
    if not as_json:
        out.print(run_id)
    status = _follow(run_id, as_json)
    if as_json:
        _print_json({"run": run_id, **_status_json(run_id), "headline": Run.open(run_id).summary.headline})
    elif status.state == "DONE":
        _print_metrics(Run.open(run_id), "all")
    _fail_unless_done(status)


@app.command()
def evaluate(
    run: RunId,
    slice_name: Annotated[
        str, typer.Option("--slice", metavar="S", help="A slice, e.g. popularity; `all` is every sample.")
    ] = "all",
    as_json: AsJson = False,
) -> None:
    """Show how a run and its baselines did on the test part, with 95 % intervals."""
    from engine.runs import Run

    opened = Run.open(run)
    if as_json:
        _print_json(json.loads(_sliced(opened, slice_name).to_json(orient="records")))
    else:
        _print_metrics(opened, slice_name)


@app.command()
def predict(
    run: RunId,
    user: Annotated[str, typer.Option(help="Id of a person with samples in the test part.")],
    step: Annotated[
        int | None, typer.Option("--step", help="Which of the person's test samples, from 0; default the last.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=100, help="How many places to list.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Ask a trained run where a person goes next."""
    from engine.runs import Run

    answer = _predict(Run.open(run).load(), user, step, top)
    if as_json:
        _print_json(answer)
        return
    out.print(escape(f"{user}, sample {answer['step']} of {answer['samples']}, {answer['started_at']} local time"))
    table = Table("rank", "place", "category", "probability", "metres from the truth")
    for place in answer["places"]:
        mark = "  <- went there" if place["id"] == answer["truth"]["id"] else ""
        probability = f"{place['probability']:.1%}" if answer["normalised"] else f"{place['probability']:.3f} (score)"
        cells = (str(place["rank"]), place["name"] + mark, place["category"], probability, f"{place['distance_m']:,.0f}")
        table.add_row(*map(escape, cells))
    out.print(table)
    rank = answer["truth"]["rank"]
    out.print(escape(f"Truth: {answer['truth']['name']}, " + (f"rank {rank}" if rank else "which this model cannot answer")))


def _predict(loaded: Any, user: str, step: int | None, top: int) -> dict[str, Any]:
    import numpy as np
    import pandas as pd

    from engine.evaluation.ranking import answer

    samples = loaded.data.samples
    if samples is None:
        raise MobiscopeError("This model does not predict next locations; look at its run on the Grid mobility page.")
    samples = samples.of_part("test")
    log = samples.log
    mine = samples[log.users[log.user[samples.target]] == user]
    if not len(mine):
        some = ", ".join(log.users[np.unique(log.user[samples.target])[:5]])
        raise MobiscopeError(f"There is no test sample of {user!r}. People with some are, for example, {some}.")
    chosen = len(mine) - 1 if step is None else step
    if not 0 <= chosen < len(mine):
        raise MobiscopeError(f"{user!r} has {len(mine)} test samples; --step goes from 0 to {len(mine) - 1}.")
    found = answer(loaded.model, mine[chosen : chosen + 1], top_k=top)
    places, truth = found.places, int(found.truth[0])
    moment = pd.Timestamp(found.started_at[0], tz="UTC").tz_convert(log.time_zone)

    def place(position: int) -> dict[str, Any]:
        category = places.category_names[places.category[position]]
        return {"id": str(places.ids[position]), "name": str(places.names[position]), "category": category}

    listed = [
        place(position)
        | {
            "rank": rank,
            "probability": float(probability),
            "distance_m": float(math.hypot(places.x[position] - places.x[truth], places.y[position] - places.y[truth])),
        }
        for rank, (position, probability) in enumerate(zip(found.top[0], found.top_probability[0], strict=True), 1)
        if position >= 0
    ]
    rank = found.rank[0]
    return {
        "user": user,
        "step": chosen,
        "samples": len(mine),
        "started_at": moment.isoformat(),
        "normalised": found.normalised,
        "places": listed,
        "truth": place(truth)
        | {"rank": int(rank) if np.isfinite(rank) else None, "probability": float(found.truth_probability[0])},
    }


# ---- runs ---------------------------------------------------------------------------------------------------------------------


@runs_app.callback()
def runs(context: typer.Context, as_json: AsJson = False) -> None:
    """List runs, look at one, cancel, resume, rename or delete it."""
    if context.invoked_subcommand is not None:
        return
    from engine.runs import list_runs

    found = list_runs()
    if as_json:
        _print_json([run.model_dump(mode="json") for run in found])
        return
    table = Table(Column("run", no_wrap=True), "name", "model", "city", "preset", "state", "Acc@1", Column("started", no_wrap=True))
    for run in found:
        accuracy = f"{run.headline['acc@1']:.1%}" if "acc@1" in run.headline else "–"
        began = f"{run.created_at:%Y-%m-%d %H:%M}"
        table.add_row(*map(escape, (run.id, run.name, run.model, run.city_name, run.preset, run.state, accuracy, began)))
    out.print(table if found else "No runs yet. Start one with `mobiscope train`.")


@runs_app.command()
def show(run: RunId, as_json: AsJson = False) -> None:
    """Where a run stands, what was asked, and the end of its log."""
    from engine.runs import Run

    opened = Run.open(run)
    if as_json:
        summary = opened.summary.model_dump(mode="json")
        _print_json(summary | _status_json(run) | {"request": opened.request.model_dump(mode="json"), "events": opened.events()})
        return
    for key, value in _status_json(run).items():
        if value not in (None, "", False):
            out.print(escape(f"{key:>10}  {value}"), soft_wrap=True)
    out.print(escape(f"{'command':>10}  {command_for(opened.request)}"), soft_wrap=True)
    for line in opened.log_tail(15):
        out.print(escape(line), style="dim", soft_wrap=True)


@runs_app.command()
def cancel(
    run: RunId,
    force: Annotated[bool, typer.Option("--force", help="End the process if it does not stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a run save and stop, or take it out of the queue."""
    from engine.runs import cancel as cancel_run
    from engine.runs import force_stop

    (force_stop if force else cancel_run)(run)
    _print_json(_status_json(run)) if as_json else out.print(_status_json(run)["state"])


@runs_app.command()
def resume(
    run: RunId,
    anew: Annotated[bool, typer.Option("--anew", help="Forget its checkpoints and train it from the first step.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Continue a run that ended early, from its newest checkpoint."""
    from engine.runs import resume as resume_run
    from engine.runs import retry

    (retry if anew else resume_run)(run)
    status = _follow(run, as_json) if wait else None
    _print_json(_status_json(run)) if as_json else out.print(_status_json(run)["state"])
    if status is not None:
        _fail_unless_done(status)


@runs_app.command()
def rename(run: RunId, name: Annotated[str, typer.Argument(help="New name; the id stays.")], as_json: AsJson = False) -> None:
    """Give a run another name."""
    from engine.runs import Run
    from engine.runs import rename as rename_run

    rename_run(run, name)
    _print_json(Run.open(run).summary.model_dump(mode="json")) if as_json else out.print(escape(Run.open(run).summary.name))


@runs_app.command()
def delete(run: RunId, as_json: AsJson = False) -> None:
    """Delete a run with all its files; a running one is refused."""
    from engine.runs import delete as delete_run

    delete_run(run)
    _print_json({"deleted": run}) if as_json else out.print(escape(f"Deleted {run}."))


@app.command()
def whatif(
    scenario: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A scenario saved on the What-if page.")],
    run: Annotated[str, typer.Option("--run", metavar="RUN", help="The run that is asked.")],
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many places to list.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Ask a scenario's question before and after its edits, with the numbers of the What-if page."""
    from engine.runs import Run
    from engine.scenarios.replay import replay
    from engine.scenarios.scenario import Scenario

    asked = Scenario.from_json(scenario.read_bytes())
    loaded = Run.open(run).load()
    comparison = replay(loaded.model, loaded.data.samples, loaded.data.city, asked)
    shown = comparison.candidates.head(top)
    if as_json:
        rows = json.loads(shown.to_json(orient="records"))
        _print_json({"scenario": asked.name, "digest": asked.digest, "run": run, "moved": comparison.moved, "places": rows})
        return
    edits = "; ".join(edit.describe() for edit in asked.edits) or "no edits"
    out.print(escape(f"{asked.name}: {edits}. {comparison.moved:.1%} of the probability moved."))
    table = Table("rank before", "rank after", "place", "category", "edit", "before", "after", "change")
    for row in shown.rename(columns={"name": "place"}).itertuples():
        ranks = ("-" if math.isnan(rank) else f"{rank:,.0f}" for rank in (row.rank_before, row.rank_after))
        shares = (f"{row.before:.2%}", f"{row.after:.2%}", f"{row.change:+.2%}")
        table.add_row(*map(escape, (*ranks, str(row.place), str(row.category), str(row.edit), *shares)))
    out.print(table)


@app.command(hidden=True)
def work(run: RunId) -> None:
    """Work on a run in this process; what a job does (`python -m engine work RUN`)."""
    from engine.runs.worker import work as work_on

    raise typer.Exit(work_on(run))


@app.command()
def version() -> None:
    """Print the version."""
    out.print(engine.__version__)


# ---- reading what was typed ---------------------------------------------------------------------------------------------------


def _pairs(typed: list[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for text in typed or []:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise typer.BadParameter(f"{text!r} is not of the form KEY=VALUE.", param_hint=option)
        pairs[key.strip()] = value.strip()
    return pairs


def _values(typed: list[str] | None, option: str) -> dict[str, Any]:
    return {key: _value(text) for key, text in _pairs(typed, option).items()}


def _value(text: str) -> Any:
    """JSON where it is JSON (numbers, true, null, lists), else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _word(value: Any) -> str:
    return value if isinstance(value, str) and _value(value) == value else json.dumps(value)


def _checked_pairs(typed: list[str] | None, option: str) -> list[str]:
    _pairs(typed, option)
    return typed or []


# ---- showing ------------------------------------------------------------------------------------------------------------------


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, allow_nan=False, default=str))


def _tell_city(city: Any, as_json: bool) -> None:
    from engine import store

    info = city.info.model_dump(mode="json")
    if as_json:
        _print_json(info | {"slug": store.slug(city.name), "fingerprint": city.fingerprint})
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


def _sliced(run: Any, slice_name: str) -> Any:
    metrics = run.table("metrics")
    known = list(dict.fromkeys(metrics["slice"]))
    if slice_name not in known:
        raise MobiscopeError(f"There is no slice `{slice_name}`; choose one of {', '.join(known)}.")
    return metrics[metrics["slice"] == slice_name]


def _print_metrics(run: Any, slice_name: str) -> None:
    from engine.evaluation.metrics import METRICS

    metrics = _sliced(run, slice_name)
    shown = [name for name in ("acc@1", "acc@5", "acc@10", "mrr", "ndcg@10", "distance_median_m") if name in set(metrics["metric"])]
    for group, rows in metrics.groupby("group", sort=False):
        count = int(rows["n"].max())
        if not count:
            continue
        heads = [METRICS[name].title + (" %" if METRICS[name].unit == "share" else " m") for name in shown]
        table = Table("predictor", *heads, title=escape(f"{slice_name}: {group}, n = {count:,}"))
        for _, own in rows.groupby("predictor", sort=False):
            found = own.set_index("metric")
            table.add_row(escape(str(own["title"].iloc[0])), *(_estimate(found.loc[name], METRICS[name].unit) for name in shown))
        out.print(table)


def _estimate(row: Any, unit: str) -> str:
    factor, digits = (100, 1) if unit == "share" else (1, 0)
    value, low, high = (factor * float(row[key]) for key in ("value", "low", "high"))
    if not math.isfinite(value):
        return "–"
    return f"{value:,.{digits}f}" + (f" ({low:,.{digits}f}–{high:,.{digits}f})" if math.isfinite(low) else "")


def _status_json(run_id: str) -> dict[str, Any]:
    from engine.runs import Run

    return Run.open(run_id).status().model_dump(mode="json")


@contextmanager
def _bar(doing: str, quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """A progress bar on standard error, fed by a `Report`."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), console=err, disable=quiet, transient=True
    ) as bar:
        task = bar.add_task(escape(doing), total=1.0)
        yield lambda text, share: bar.update(task, description=escape(text), completed=share)


def _follow(run_id: str, quiet: bool) -> Any:
    """Shows a run's progress until it has ended; interrupting the wait leaves the run alone."""
    from engine.runs import Run

    run = Run.open(run_id)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[note]}"))
    try:
        with Progress(*columns, console=err, disable=quiet, transient=True) as bar:
            task = bar.add_task(run_id, total=1.0, note="")
            while True:
                status = run.status()
                waiting = f"waiting, position {status.position}" if status.position else status.phase
                parts = [f"step {status.step:,} of at most {status.steps:,}"] if status.steps else []
                parts += [f"loss {status.loss:.3f}"] if status.loss is not None else []
                parts += [f"at most {_duration(status.eta_s)} left"] if status.eta_s else []
                parts += [status.message] if status.message else []
                note = escape(", ".join(parts))
                bar.update(task, description=escape(waiting or status.state), completed=status.share, note=note)
                if status.has_ended:
                    return status
                time.sleep(0.5)
    except KeyboardInterrupt:
        err.print(escape(f"{run_id} goes on in the background; `mobiscope runs cancel {run_id}` stops it."), soft_wrap=True)
        raise


def _fail_unless_done(status: Any) -> None:
    if status.state != "DONE":
        err.print(escape(f"The run is {status.state}. {status.message}"), soft_wrap=True)
        raise typer.Exit(1)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"
