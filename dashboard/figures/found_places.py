"""Which places a predictor finds and which it starves: every place that was a target, by the share of its cases that were hits."""

import numpy as np
import pandas as pd
import pydeck as pdk

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.deck import PIXELS, literal, positions

MOST_PLACES = 8_000


def found_by_place(rank: np.ndarray, target: np.ndarray, k: int) -> pd.DataFrame:
    """How often each target place was among the first `k` answers.

    Args:
        rank: (sample,) rank of the truth, inf where it cannot be answered.
        target: (sample,) index of the true place.
        k: Length of the list that counts as found.

    Returns:
        One row per target place, most cases first: location, cases, found.
    """
    table = pd.DataFrame({"location": target, "found": np.asarray(rank) <= k})
    table = (
        table.groupby("location", as_index=False)["found"].agg(["count", "sum"]).rename(columns={"count": "cases", "sum": "found"})
    )
    return table.sort_values(["cases", "location"], ascending=[False, True], kind="stable").reset_index(drop=True)


def found_layers(table: pd.DataFrame, theme: Theme, k: int) -> list[pdk.Layer]:
    """Discs: area by cases, colour by the share found; starved places (none found) carry an outline and lie on top.

    Args:
        table: As from `found_by_place`, with longitude, latitude (degrees), name and id.
        theme: Light or dark.
        k: Named in the tooltip.
    """
    table = table.head(MOST_PLACES)
    if table.empty:
        return []
    share = (table["found"] / table["cases"]).to_numpy(float)
    radius = np.round(2.5 + 11 * np.sqrt(table["cases"].to_numpy(float) / table["cases"].max()), 1)
    colour = colours.ramp(share, colours.scale("sequential", theme))
    where = positions(table["longitude"].to_numpy(), table["latitude"].to_numpy())
    outline = colours.rgba(colours.role("miss", theme))
    # Plain lists: asking a table for one cell at a time took most of the page's script.
    ids, names, found, cases = (table[column].tolist() for column in ("id", "name", "found", "cases"))
    rows = [
        {
            "p": where[row],
            "r": float(radius[row]),
            "c": [*colour[row].tolist(), 215],
            "l": outline if share[row] == 0 else [0, 0, 0, 0],
            "id": literal(ids[row]),
            "tip": literal(f"{str(names[row])[:80]}\n{int(found[row]):,} of {int(cases[row]):,} cases had it among the first {k}"),
        }
        for row in np.argsort(-share, kind="stable")
    ]
    return [
        pdk.Layer(
            "ScatterplotLayer",
            rows,
            id="found-places",
            get_position="p",
            get_radius="r",
            radius_units=PIXELS,
            get_fill_color="c",
            stroked=True,
            get_line_color="l",
            get_line_width=1.4,
            line_width_units=PIXELS,
            pickable=True,
        )
    ]
