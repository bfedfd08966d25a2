"""How sure the network is of what an edit of cells changes: the same edit put to networks with units dropped at random."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import panels, python_lines, session, wording
from dashboard.cached import cell_data
from dashboard.cached.cell_data import CellOutlines
from dashboard.figures.curve_day import hour_errors
from dashboard.figures.frame import chart_config
from dashboard.views import cell_choice
from dashboard.views.export_menu import export_menu
from engine.scenarios.cell_compare import CurveComparison
from engine.scenarios.scenario import Scenario

DRAWS = 20
BOUNDS = (0.1, 0.9)


def draw(
    run_id: str,
    predictor: str,
    scenario: Scenario,
    comparison: CurveComparison,
    outlines: CellOutlines,
    row: int,
) -> None:
    """The panel for one cell.

    Args:
        run_id: The run.
        predictor: Who is asked.
        scenario: The edits.
        comparison: All curves before and after.
        outlines: Shapes and names of the cells.
        row: Position of the cell.
    """
    if not comparison.changed[row]:
        panels.nothing("This cell does not change", "Choose one inside the grey outline, or add an edit that reaches it.")
        return
    draws = cell_data.thinned(run_id, predictor, scenario, DRAWS)
    if draws is None:
        panels.nothing("This predictor has no units to drop", "Only networks of the run itself can be thinned; ask the model.")
        return
    low, high = np.quantile(draws[:, row], BOUNDS, axis=0)
    change = comparison.change[row]
    table = pd.DataFrame({"hour": np.arange(len(change)), "change": change, "low": low, "high": high})
    panels.panel(
        f"How sure the model is of the change in {wording.literal(cell_choice.label(outlines, row))}",
        f"Drawn: trips after the edits minus before, and the range of {DRAWS} networks, each with other units dropped at random, alike before "
        "and after (8 in 10 lie within).",
        "Read: where the range crosses zero, the network does not even agree with itself on the direction.",
        "Do not conclude that the city would move within this range: it holds what few cells could not teach, not what no cell shows.",
        "Monte Carlo dropout: Gal and Ghahramani (2016); specification §8.",
        actions=lambda: export_menu(
            "what_if.cells.export.doubt", "change-by-hour", table, python=_python(run_id, scenario, row), chart=True
        ),
    )
    total = draws[:, row].sum(axis=1)
    at_least, at_most = np.quantile(total, BOUNDS)
    agree = float((np.sign(total) == np.sign(change.sum())).mean())
    st.markdown(
        f"{wording.signed(float(change.sum()))} trips a day; 8 in 10 networks say {wording.signed(float(at_least))} to "
        f"{wording.signed(float(at_most))}, and {wording.percent(agree)} agree on the direction."
    )
    figure = hour_errors({"change": (change, low, high)}, "trips per hour, after − before", session.theme())
    st.plotly_chart(figure, key="what_if.cells.doubt", config=chart_config("change-by-hour"), alt="Change by hour with its range")


def _python(run_id: str, scenario: Scenario, row: int) -> str:
    """Lines of Python that give the changes by all thinned networks and their range."""
    return python_lines.of_model(
        run_id,
        "data = run.data",
        f"scenario = Scenario.from_json({scenario.to_json()!r})",
        f"draws = thinned_changes(run.model, Grounds(run.model, data.city, data.cells, data.inputs), scenario, {DRAWS})[:, {row}]",
        f"low, high = np.quantile(draws, {BOUNDS}, axis=0)",
        imports=[
            "import numpy as np",
            "from engine.scenarios.cell_compare import Grounds, thinned_changes",
            "from engine.scenarios.scenario import Scenario",
        ],
    )
