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
    loaded: Any = Run.open(run).load()
    comparison = replay(loaded.model, loaded.data.samples, loaded.data.city, asked)
    shown = comparison.candidates.head(top)
    if as_json:
        rows = json.loads(shown.to_json(orient="records"))
        print_json({"scenario": asked.name, "digest": asked.digest, "run": run, "moved": comparison.moved, "places": rows})
        return
    edits = "; ".join(edit.describe() for edit in asked.edits) or "no edits"
    out.print(escape(f"{asked.name}: {edits}. {comparison.moved:.1%} of the probability moved."))
    table = Table("rank before", "rank after", "place", "category", "edit", "before", "after", "change")
    row: Any
    for row in shown.rename(columns={"name": "place"}).itertuples():
        ranks = ("-" if math.isnan(rank) else f"{rank:,.0f}" for rank in (row.rank_before, row.rank_after))
        shares = (f"{row.before:.2%}", f"{row.after:.2%}", f"{row.change:+.2%}")
        table.add_row(*map(escape, (*ranks, str(row.place), str(row.category), str(row.edit), *shares)))
    out.print(table)


def _sliced(run: Any, slice_name: str) -> Any:
    metrics = run.table("metrics")
    known = list(dict.fromkeys(metrics["slice"]))
    if slice_name not in known:
        raise MobiscopeError(f"There is no slice `{slice_name}`; choose one of {', '.join(known)}.")
    return metrics[metrics["slice"] == slice_name]


def print_metrics(run: Any, slice_name: str) -> None:
    """The metrics of a run and its baselines as one table per group of a slice."""
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
