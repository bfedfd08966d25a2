"""Cells whose days are alike in level and shape, on the map, as curves and in words."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, panels, python_lines, session, wording
from dashboard.cached import cell_data
from dashboard.cached.cell_data import CellOutlines, Curves
from dashboard.figures import cell_map, colours
from dashboard.figures.curve_day import cluster_curves
from dashboard.figures.frame import chart_config
from dashboard.views import cell_choice, city_map
from dashboard.views.export_menu import export_menu
from engine.errors import MobiscopeError
from engine.evaluation.curve_clusters import FEWEST, MOST

KEY = "grid.clusters"
DEFAULT = 5
Z_TOLD = 1.96
"""Words of a smaller z than this are not told."""
MOST_WORDS = 5


def count() -> int:
    """How many clusters are looked at."""
    return int(session.widget(KEY, session.get(KEY, DEFAULT)))


def of_run(run_id: str) -> np.ndarray | None:
    """(cell,) cluster of each observed curve; None where there are too few curves."""
    try:
        return cell_data.clusters_of_curves(run_id, count())
    except MobiscopeError:
        return None


def draw(run_id: str, slug: str, curves: Curves, outlines: CellOutlines) -> None:
    """The panel."""
    clusters = of_run(run_id)
    panels.panel(
        "Days alike in level and shape",
        "Drawn: cells in clusters of their observed curves, one colour each on the map and in the chart; words that stand in their "
        "descriptions more often than in those of the rest.",
        "Read: clusters are numbered from the busiest to the quietest; days of one shape at two levels are two clusters. Words stand with "
        f"their z, those above {Z_TOLD:g} only: chance alone gives that to one word in forty, so of many words some are told by chance.",
        "Do not conclude that the number of clusters is in the data: it is yours. Words come from descriptions, not from the flows.",
        "Ward's criterion on ln(1 + trips), LMEMR §5.6; log-odds with a Dirichlet prior (Monroe et al. 2008).",
        actions=(
            lambda: export_menu(f"{KEY}.export", "clusters", _table(curves, outlines, clusters), python=_python(run_id), chart=True)
        )
        if clusters is not None
        else None,
    )
    st.slider("Clusters", FEWEST, MOST, count(), key=KEY, width=320)
    session.put(KEY, count())
    if clusters is None:
        known = int(np.isfinite(curves.observed).all(axis=1).sum())
        panels.nothing(
            "Too few curves to divide",
            f"{wording.counted(known, 'cell')} of this city have a whole observed curve. Choose fewer clusters.",
        )
        return
    left, right = st.columns([48, 52], gap="medium")
    with left:
        _map(slug, outlines, clusters)
    with right:
        st.plotly_chart(
            cluster_curves(curves.observed, clusters, session.theme()),
            key=f"{KEY}.curves",
            config=chart_config("clusters"),
            alt="Mean day of each cluster",
        )
        _words(run_id)


def _map(slug: str, outlines: CellOutlines, clusters: np.ndarray) -> None:
    theme, city = session.theme(), cached.city(slug)
    base = cached.base(slug, theme, places=False, buildings="none", faint=True)
    tints = [[*colours.rgb(colours.categorical(cluster)), 205] if cluster >= 0 else [128, 128, 128, 40] for cluster in clusters]
    tips = [
        f"{cell_choice.label(outlines, row)}\n" + (f"cluster {cluster + 1}" if cluster >= 0 else "no whole curve known")
        for row, cluster in enumerate(clusters)
    ]
    layers = [*base.layers, cell_map.part_layer(outlines.shapes, tints, tips)]
    shown = sorted(set(clusters[clusters >= 0].tolist()))
    legend = [city_map.Entry("dot", f"cluster {cluster + 1}", colours.categorical(cluster)) for cluster in shown]
    alt = "Map of cells by the cluster of their curve"
    city_map.draw(city, layers, key=f"{KEY}.map", alt=alt, legend=legend, attribution=base.attribution, height=430)


def _words(run_id: str) -> None:
    table = cell_data.cluster_words(run_id, count())
    if table.empty:
        panels.nothing("No typical words", "The cells are not described; choose a describer in training, or bring descriptions.")
        return
    st.markdown("\n".join(f"{int(cluster) + 1}. {told(rows)}" for cluster, rows in table.groupby("cluster")))
    st.caption("Words typical of each cluster: z, the share of its cells whose descriptions hold them, and of all others.")


def told(words: pd.DataFrame) -> str:
    """The words that are typical of one cluster, as Markdown.

    Args:
        words: Rows (word, z, share, share_elsewhere) as from `engine.evaluation.curve_clusters.typical_words`, most typical first.
    """
    return (
        ", ".join(
            f"**{wording.literal(row.word)}** (z {row.z:.1f}; {wording.percent(row.share, 2)} : {wording.percent(row.share_elsewhere, 2)})"
            for row in words[words["z"] > Z_TOLD].head(MOST_WORDS).itertuples()
        )
        or "no word stands out"
    )


def _python(run_id: str) -> str:
    """Lines of Python that give the clusters and their typical words."""
    return python_lines.of_model(
        run_id,
        "inputs = run.data.inputs",
        f"clusters = curve_clusters(run.data.cells.outflow, {count()})",
        "words = typical_words({name: one.captions for name, one in inputs.modalities.items()}, clusters)",
        imports=["from engine.evaluation.curve_clusters import curve_clusters, typical_words"],
    )


def _table(curves: Curves, outlines: CellOutlines, clusters: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cell_id": curves.cell_ids,
            "cluster": clusters + 1,
            "trips_per_day": curves.observed.sum(axis=1),
            "longitude": outlines.longitude,
            "latitude": outlines.latitude,
        }
    )
