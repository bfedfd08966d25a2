"""Commands about experts and other cities: experts, elsewhere."""

import json
import math
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from engine.cli.terminal import AsJson, RunId, out, print_json
from engine.errors import MobiscopeError


def experts(
    run: RunId,
    questions: Annotated[
        int, typer.Option(min=1, max=100_000, help="Test questions watched, spread evenly over the test part.")
    ] = 1_500,
    as_json: AsJson = False,
) -> None:
    """Show whom a run's model asks: load, doubt, dead experts, and what the experts' names agree with.

    Behind a name: ✓ goes along with the known group of that name, ≈ with a group of another name, ? with none beyond chance.
    """
    from engine.runs import Run

    loaded: Any = Run.open(run).load()
    found = _experts(loaded, questions)
    if as_json:
        print_json({"run": run, "sets": found})
        return
    for one in found:
        table = Table(
            "expert", "load", "asked in", "leads in", "goes along with", title=escape(f"{one['title']}, n = {one['n']:,} questions")
        )
        for row in one["experts"]:
            dead = "  (dead)" if row["dead"] else ""
            table.add_row(
                escape(row["shown"]) + dead,
                f"{row['load']:.1%}",
                f"{row['asked']:.1%}",
                f"{row['leads']:.1%}",
                escape(f"{row['group']} ({row['correlation']:.2f}, chance {row['chance']:.2f})") if row["group"] else "no group",
            )
        out.print(table)
        out.print(
            f"Doubt per visit {one['entropy_per_visit']:.2f}, over all {one['entropy_overall']:.2f}, at most {one['entropy_even']:.2f} nats."
        )
        for check in one["agreement"]:
            above = f"{check['z']:+.1f} sd from chance" if check["z"] is not None else "chance does not vary"
            out.print(
                escape(
                    f"Agreement with {check['attribute']}: NMI {check['information']:.3f} (chance {check['chance']:.3f}, {above}), "
                    f"Cramer's V {check['cramers_v']:.2f}, n = {check['n']:,}"
                )
            )


def _experts(loaded: Any, questions: int) -> list[dict[str, Any]]:
    import numpy as np

    from engine.evaluation import routing
    from engine.evaluation.routed import check_labels, label_experts, latest_visits, route

    samples = loaded.data.samples
    sets = loaded.model.experts()
    if not sets or samples is None:
        raise MobiscopeError(f"{loaded.model.title} has no experts; nobody was asked. Choose a run of a model that has some.")
    test = np.flatnonzero(samples.part == 2)
    chosen = test[np.unique(np.linspace(0, len(test) - 1, min(questions, len(test))).astype(np.int64))]
    visits, found = latest_visits(samples, chosen), []
    for key, routed in route(loaded.model, samples, chosen, steps=1).items():
        load, asked = routing.load(routed.latest), routing.asked(routed.latest)
        leads = np.bincount(routed.dominant, minlength=len(load)) / len(routed)
        doubt = routing.specialisation(routed.latest_raw)
        checks = check_labels(loaded.data.city, samples, visits, routed.latest_raw)
        found.append(
            {
                "set": key,
                "title": routed.experts.title,
                "n": len(routed),
                "entropy_per_visit": doubt.per_row,
                "entropy_overall": doubt.overall,
                "entropy_even": doubt.even,
                "experts": [
                    {
                        "name": own.name,
                        "shown": own.shown(60),
                        "load": float(a),
                        "asked": float(b),
                        "leads": float(c),
                        "dead": bool(d),
                        "compared_with": own.attribute,
                        "group": own.group,
                        "correlation": own.companion.phi if own.companion else None,
                        "chance": own.companion.chance if own.companion else None,
                        "verified": own.is_verified,
                    }
                    for own, a, b, c, d in zip(
                        label_experts(routed.experts, checks), load, asked, leads, routing.dead(load), strict=True
                    )
                ],
                "agreement": [
                    {
                        "attribute": check.attribute.title,
                        **vars(check.agreement),
                        "z": check.agreement.z if math.isfinite(check.agreement.z) else None,
                    }
                    for check in checks
                ],
            }
        )
    return found


def elsewhere(
    run: RunId,
    city: Annotated[str, typer.Option(help="Name or slug of the other city.")],
    questions: Annotated[int, typer.Option(min=1, max=1_000_000, help="Test questions asked, spread evenly.")] = 2_000,
    as_json: AsJson = False,
) -> None:
    """Ask a run's weights about another city, without training there, beside baselines that counted there."""
    from engine.city.city import open_city
    from engine.evaluation.metrics import METRICS
    from engine.evaluation.transfer import split_for, zero_shot
    from engine.runs import Run

    loaded: Any = Run.open(run).load()
    if loaded.data.samples is None:
        raise MobiscopeError(f"Run `{run}` predicts curves of cells; it cannot be asked about people's next places.")
    other = open_city(city)
    found = zero_shot(loaded.model, other, split_for(other, loaded.data.split), most=questions)
    frame = found.to_frame()
    if as_json:
        print_json(
            {"run": run, "city": found.city, "n": len(found.samples), "metrics": json.loads(frame.to_json(orient="records"))}
        )
        return
    shown = ("acc@1", "acc@5", "acc@10", "mrr", "distance_mean_m", "distance_median_m")
    heads = [METRICS[name].title + (" %" if METRICS[name].unit == "share" else " m") for name in shown]
    table = Table(
        "predictor", *heads, title=escape(f"{loaded.model.title}, weights of {run}, in {found.city}, n = {len(found.samples):,}")
    )
    for _, own in frame.groupby("predictor", sort=False):
        values: Any = own.set_index("metric")
        cells = []
        for name in shown:
            factor, digits = (100, 1) if METRICS[name].unit == "share" else (1, 0)
            value, low, high = (factor * float(values.loc[name, key]) for key in ("value", "low", "high"))
            cells.append(
                f"{value:,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})" if math.isfinite(low) else f"{value:,.{digits}f}"
            )
        table.add_row(escape(str(own["title"].iloc[0])), *cells)
    out.print(table)
