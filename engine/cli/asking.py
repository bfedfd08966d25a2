"""Commands that ask a trained run: evaluate, predict, whatif."""

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from engine.cli.terminal import AsJson, RunId, out, print_json
from engine.errors import MobiscopeError


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
        print_json(json.loads(_sliced(opened, slice_name).to_json(orient="records")))
    else:
        print_metrics(opened, slice_name)


def predict(
    run: RunId,
    user: Annotated[str, typer.Option(help="Id of a person with samples in the test part.")] = "",
    cell: Annotated[str, typer.Option(help="Id of a cell, for a model of cells; its curve is printed.")] = "",
    step: Annotated[
        int | None,
        typer.Option("--step", min=1, help="Which of the person's test samples, from 1 as on the page; default the last."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=100, help="How many places to list.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Ask a trained run where a person goes next, or how many trips leave a cell at each hour."""
    from engine.models import task_of
    from engine.runs import Run

    opened = Run.open(run)
    if task_of(opened.request.model) == "grid_flow":
        _print_curve(opened, cell, as_json)
        return
    if not user:
        raise MobiscopeError("Name a person with --user; this run predicts where a person goes next.")
    answer = _predict(opened.load(), user, step, top)
    if as_json:
        print_json(answer)
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
    samples = samples.of_part("test")
    log = samples.log
    mine = samples[log.users[log.user[samples.target]] == user]
    if not len(mine):
        some = ", ".join(log.users[np.unique(log.user[samples.target])[:5]])
        raise MobiscopeError(f"There is no test sample of {user!r}. People with some are, for example, {some}.")
    chosen = len(mine) if step is None else step
    if chosen > len(mine):
        raise MobiscopeError(f"{user!r} has {len(mine)} test samples; --step goes from 1 to {len(mine)}.")
    found = answer(loaded.model, mine[chosen - 1 : chosen], top_k=top)
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


def _print_curve(run: Any, cell: str, as_json: bool) -> None:
    if not cell:
        raise MobiscopeError("Name a cell with --cell; this run predicts how many trips leave each cell.")
    answer = _predict_curve(run.load(), cell)
    if as_json:
        print_json(answer)
        return
    out.print(escape(f"{cell}, {answer['part']} part, trips per hour on an average day ({answer['day_type']}), local time"))
    table = Table("hour", "predicted", "80 % interval", "observed")
    for hour in answer["hours"]:
        interval = f"{hour['low']:,.0f} to {hour['high']:,.0f}" if hour["low"] is not None else "–"
        observed = f"{hour['observed']:,.1f}" if hour["observed"] is not None else "–"
        table.add_row(f"{hour['hour']:02d}", f"{hour['predicted']:,.1f}", interval, observed)
    out.print(table)


def _predict_curve(loaded: Any, cell: str) -> dict[str, Any]:
    import numpy as np

    from engine.city.splits import PARTS

    cells = loaded.data.cells
    found = np.flatnonzero(cells.cell_ids == cell)
    if not len(found):
        some = ", ".join(cells.cell_ids[cells.mask("test")][:5])
        raise MobiscopeError(f"There is no cell {cell!r} in this city. Cells of the test part are, for example, {some}.")
    row, prediction = int(found[0]), loaded.model.predict_curves(loaded.data.inputs, cells)

    def value(array: Any, hour: int) -> float | None:
        return None if array is None or not np.isfinite(array[row, hour]) else float(array[row, hour])

    hours = [
        {
            "hour": hour,
            "predicted": float(prediction.flow[row, hour]),
            "low": value(prediction.low, hour),
            "high": value(prediction.high, hour),
            "observed": value(cells.outflow, hour),
        }
        for hour in range(24)
    ]
    part = PARTS[cells.part[row]] if cells.part[row] >= 0 else "input only"
    return {"cell": cell, "part": part, "day_type": cells.day_type, "hours": hours}


def whatif(
    scenario: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A scenario saved on the What-if page.")],
    run: Annotated[str, typer.Option("--run", metavar="RUN", help="The run that is asked.")],
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many places (or cells) to list.")] = 10,
    metrics: Annotated[bool, typer.Option("--metrics", help="Measure the test part before and after instead.")] = False,
    slice_name: Annotated[
        str, typer.Option("--slice", metavar="S", help="With --metrics: also by a slice, e.g. popularity.")
    ] = "all",
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="With --metrics: at most so many test samples, at equal steps; default as on the page."),
    ] = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="Save the edited city, queue the same training on it, and print the new run's id.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask a scenario's question before and after its edits, with the numbers of the What-if page."""
    from engine.runs import Run
    from engine.runs.refit import refit as train_again
    from engine.scenarios.scenario import Scenario

    if not metrics and (slice_name != "all" or samples is not None):
        raise typer.BadParameter("This goes with --metrics.", param_hint="--slice" if samples is None else "--samples")
    asked = Scenario.from_json(scenario.read_bytes())
    if refit:
        new_run = train_again(run, asked)
        print_json({"run": new_run, "city": Run.open(new_run).request.city}) if as_json else out.print(new_run)
        return
    loaded: Any = Run.open(run).load()
    told = {"scenario": asked.name, "digest": asked.digest, "run": run}
    if loaded.data.cells is not None:
        from engine.cli.cells import metrics_of_cells, whatif_cells

        if slice_name != "all" or samples is not None:
            raise MobiscopeError("A run of cells is measured on all its test cells together; leave --slice and --samples out.")
        if metrics:
            metrics_of_cells(loaded, asked, told, as_json)
        else:
            whatif_cells(loaded, asked, run, top, as_json)
    elif metrics:
        _print_changed_metrics(loaded, asked, told, slice_name, samples, as_json)
    else:
        _print_comparison(loaded, asked, told, top, as_json)


def _print_comparison(loaded: Any, asked: Any, told: dict[str, str], top: int, as_json: bool) -> None:
    from engine.models.answers import share_name
    from engine.scenarios.replay import replay

    comparison = replay(loaded.model, loaded.data.samples, loaded.data.city, asked)
    shown = comparison.candidates.head(top)
    if as_json:
        rows = json.loads(shown.to_json(orient="records"))
        print_json(told | {"moved": comparison.moved, "normalised": comparison.normalised, "places": rows})
        return
    share = share_name(comparison.normalised)
    out.print(escape(f"{asked.name}: {_edits_of(asked)}. {comparison.moved:.1%} of the {share} moved."))
    table = Table("rank before", "rank after", "place", "category", "edit", "before", "after", "change")
    row: Any
    for row in shown.rename(columns={"name": "place"}).itertuples():
        ranks = ("-" if math.isnan(rank) else f"{rank:,.0f}" for rank in (row.rank_before, row.rank_after))
        shares = (f"{row.before:.2%}", f"{row.after:.2%}", f"{row.change:+.2%}")
        table.add_row(*map(escape, (*ranks, str(row.place), str(row.category), str(row.edit), *shares)))
    out.print(table)


def _print_changed_metrics(
    loaded: Any, asked: Any, told: dict[str, str], slice_name: str, samples: int | None, as_json: bool
) -> None:
    from engine.evaluation.metrics import METRICS
    from engine.evaluation.report import ALL
    from engine.evaluation.slices import slice_labels
    from engine.scenarios.apply import check_scenario
    from engine.scenarios.compare import METRIC_SAMPLES, compare_metrics, evenly

    check_scenario(asked, loaded.data.city)
    chosen = evenly(loaded.data.samples, samples or METRIC_SAMPLES)
    labels = None if slice_name == ALL else slice_labels(chosen, loaded.data.city, [slice_name])
    found = compare_metrics(loaded.model, chosen, asked, labels)
    if as_json:
        rows = json.loads(found.table.to_json(orient="records"))
        print_json(told | {"samples": found.samples, "changed": found.changed, "metrics": rows})
        return
    changed = "" if found.changed is None else f" The edits of the question change {found.changed:,} of them."
    out.print(escape(f"{asked.name}: {_edits_of(asked)}. {found.samples:,} test samples.{changed}"))
    for (name, group), rows in found.table.groupby(["slice", "group"], sort=False):
        print_differences(rows, METRICS, f"{name}: {group}, n = {int(rows['n'].max()):,}")


def print_differences(rows: Any, metrics: Any, title: str) -> None:
    """Metrics before and after as a table: columns metric, before, after, difference, low, high."""
    table = Table("metric", "before", "after", "difference (95 % interval)", title=escape(title))
    for row in rows.itertuples():
        metric = metrics[row.metric]
        head = f"{metric.title} {_UNITS.get(metric.unit, metric.unit)}".strip()
        before, after, difference, low, high = (
            _number(value, metric.unit) for value in (row.before, row.after, row.difference, row.low, row.high)
        )
        table.add_row(*map(escape, (head, before, after, f"{difference} ({low} to {high})" if low != "–" else difference)))
    out.print(table)


def _edits_of(asked: Any) -> str:
    return "; ".join(edit.describe() for edit in asked.edits) or "no edits"


def _sliced(run: Any, slice_name: str) -> Any:
    metrics = run.table("metrics")
    known = list(dict.fromkeys(metrics["slice"]))
    if slice_name not in known:
        raise MobiscopeError(f"There is no slice `{slice_name}`; choose one of {', '.join(known)}.")
    return metrics[metrics["slice"] == slice_name]


_SHOWN = ("acc@1", "acc@5", "acc@10", "mrr", "ndcg@10", "distance_median_m")
_SHOWN_CURVES = ("r2", "r2_flow", "mae", "wape", "oa", "oa_near", "shape", "coverage")


def print_metrics(run: Any, slice_name: str) -> None:
    """The metrics of a run and its baselines as one table per group of a slice."""
    from engine.evaluation.flow_metrics import FLOW_METRICS
    from engine.evaluation.metrics import METRICS, Metric

    metrics = _sliced(run, slice_name)
    known: dict[str, Metric] = {**METRICS, **FLOW_METRICS}
    measured = set(metrics["metric"])
    shown = [name for name in (_SHOWN if "acc@1" in measured else _SHOWN_CURVES) if name in measured]
    for group, rows in metrics.groupby("group", sort=False):
        count = int(rows["n"].max())
        if not count:
            continue
        heads = [f"{known[name].title} {_UNITS.get(known[name].unit, known[name].unit)}".strip() for name in shown]
        table = Table("predictor", *heads, title=escape(f"{slice_name}: {group}, n = {count:,}"))
        for _, own in rows.groupby("predictor", sort=False):
            found = own.set_index("metric")
            table.add_row(escape(str(own["title"].iloc[0])), *(_estimate(found.loc[name], known[name].unit) for name in shown))
        out.print(table)


_UNITS = {"share": "%", "trips": ""}


def _number(value: float, unit: str) -> str:
    factor, digits = {"share": (100, 1), "": (1, 3), "z": (1, 3), "trips": (1, 1), "hours": (1, 2)}.get(unit, (1, 0))
    return f"{factor * float(value):,.{digits}f}" if math.isfinite(value) else "–"


def _estimate(row: Any, unit: str) -> str:
    value, low, high = (_number(row[key], unit) for key in ("value", "low", "high"))
    return value + (f" ({low}–{high})" if low != "–" else "")
