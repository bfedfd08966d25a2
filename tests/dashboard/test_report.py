"""The report opens offline, shows names as text, and holds what it promises."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dashboard.figures import base_map
from dashboard.figures.slice_bars import slice_bars
from dashboard.figures.still import still, still_png
from dashboard.report import TOLD, Drawn, Ramp, Study, render
from engine.city.data_card import DataCard, Dropped, FileCard
from engine.scenarios.cell_compare import CurveComparison
from engine.scenarios.cell_edits import ChangePois
from engine.scenarios.compare import Comparison
from engine.scenarios.edits import AddPlace
from engine.scenarios.scenario import Scenario

EVIL = "</script><script>window.__xss=1</script><img src=x onerror=window.__xss=1>"


@pytest.fixture
def metrics() -> pd.DataFrame:
    """A model and a baseline, each with one overall figure per metric and one slice of two groups."""
    rows = []
    for predictor, title, value in (("calliper", EVIL, 0.5), ("popularity", "Popularity", 0.25)):
        for metric in ("acc@1", "acc@5", "acc@10", "mrr", "ndcg@10", "distance_median_m"):
            rows.append((predictor, title, "all", "all", metric, value, value - 0.1, value + 0.1, 80, 9))
        rows += [
            (predictor, title, "popularity", group, "acc@10", value, value - 0.1, value + 0.1, 40, 9)
            for group in ("decile 1", EVIL)
        ]
    return pd.DataFrame(rows, columns=["predictor", "title", "slice", "group", "metric", "value", "low", "high", "n", "users"])


@pytest.fixture
def study(tiny_city, metrics) -> Study:
    card = DataCard(
        files=[
            FileCard(
                file=EVIL, recognised_as="check-ins", confidence=1, table="visits", rows_in=5, rows_kept=3,
                dropped=[Dropped(reason="NULL_ISLAND", rows=2, explanation=EVIL)],
            )
        ]
    )  # fmt: skip
    table = metrics[metrics["slice"] == "popularity"].assign(series=lambda frame: frame["title"])
    figure = slice_bars(table, "share", "light", models={EVIL}, title="Acc@10")
    return Study(
        city=tiny_city.replace(name=EVIL),
        card=card,
        run_name=EVIL,
        model_title="CaLLiPer",
        predictor="calliper",
        task="next_location",
        settings={"name": EVIL},
        metrics=metrics,
        drawn=Drawn(
            (("By popularity", figure, EVIL),),
            (
                (
                    still_png(base_map.deck(base_map.base_map(tiny_city, "light").layers, tiny_city, "light"), "light", (200, 160)),
                    EVIL,
                ),
            ),
        ),
        command=f"mobiscope train calliper --name '{EVIL}'",
        scenario=Scenario(name=EVIL, edits=(AddPlace(longitude=1, latitude=1, category=EVIL, name=EVIL),)),
    )


def test_nothing_is_loaded_from_anywhere(study) -> None:
    page = render(study)
    without_library = re.sub(r"<script>/\*\*\s*\* plotly\.js.*?</script>", "", page, flags=re.S)
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//""", without_library)
    assert "connect-src" not in page and "default-src 'none'" in page


def test_names_are_shown_and_never_run(study) -> None:
    page = render(study)
    assert "<script>window.__xss" not in page and "<img src=x" not in page
    assert "&lt;img src=x onerror" in page


def test_every_part_is_there_with_its_numbers(study) -> None:
    page = render(study)
    for words in (
        "Scores",
        "By popularity",
        "On the map",
        "Data card",
        "NULL_ISLAND",
        "To repeat this",
        "mobiscope train",
        "torch",
    ):
        assert words in page
    assert "the best baseline, Popularity, is right in 25.0" in page


@pytest.fixture
def grid_study(study) -> Study:
    """A study of cells: its metrics, two maps with one scale, and a what-if that changed one of two cells."""
    rows = [
        (predictor, title, "all", "all", metric, value, value - 0.1, value + 0.1, 240, 10)
        for predictor, title, value in (("lmemr", EVIL, 0.8), ("hourly_mean", "Hourly mean", 0.2))
        for metric in TOLD["grid_flow"].shown
    ]
    before = np.ones((2, 24))
    after = before + np.array([[0.0], [1.0]])
    cells = pd.DataFrame(
        {
            "cell_id": ["a", EVIL], "district": "", "edit": ["", "more"], "steps": [1.0, 0.0], "before": before.sum(axis=1),
            "after": after.sum(axis=1), "change": (after - before).sum(axis=1), "largest_change": [0.0, 1.0], "at_hour": [0, 7],
        }
    )  # fmt: skip
    picture = study.drawn.maps[0][0]
    return replace(
        study,
        predictor="lmemr",
        task="grid_flow",
        metrics=pd.DataFrame(rows, columns=study.metrics.columns),
        drawn=Drawn(maps=((picture, EVIL), (picture, "Predicted")), ramp=Ramp(("#000000", "#ffffff"), ("0", "39", "1,500"), EVIL)),
        scenario=Scenario(name=EVIL, edits=(ChangePois(cell_id="a", counts={"Food": 1}),)),
        comparison=CurveComparison(cells["cell_id"].to_numpy(), before, after, np.full((2, 24, 2), np.nan), cells),
    )


def test_a_run_of_cells_is_told_in_its_own_figures(grid_study) -> None:
    """R² and MAE instead of first guesses, both maps under one scale, what the edits changed; the model stands out by its name."""
    page = render(grid_study)
    assert "explains a share of 0.800 (0.700 to 0.900)" in page and "Hourly mean, explains 0.200" in page
    assert "MAE, trips" in page and "Acc@1" not in page
    assert "95 % bootstrap intervals over cells" in page and "n = 240 hours of cells" in page
    assert page.count('src="data:image/png;base64,') == 2 and "0 · 39 · 1,500" in page
    assert "1 of 2 cells change, by +24.0 trips a day" in page and "+1.00 at 07 h" in page
    assert "<script>window.__xss" not in page and "<img src=x" not in page


def test_a_still_map_shows_the_same_ground_at_every_size(tiny_city) -> None:
    """Twice the pixels give the same picture, sharper: not the same city with a wide margin."""
    deck = base_map.deck(
        [layer for layer in base_map.base_map(tiny_city, "light").layers if layer.id == "ground"], tiny_city, "light"
    )
    small, large = (still(deck, "light", (width, height)) for width, height in ((225, 215), (900, 860)))
    shrunk = np.asarray(large.resize(small.size), float)
    assert np.abs(shrunk - np.asarray(small, float)).mean() < 3


def test_a_still_map_is_drawn_and_not_blank(tiny_city) -> None:
    from io import BytesIO

    from PIL import Image

    for theme in ("light", "dark"):
        deck = base_map.deck(base_map.base_map(tiny_city, theme).layers, tiny_city, theme)
        picture = Image.open(BytesIO(still_png(deck, theme, (300, 240))))
        assert picture.size == (300, 240)
        assert len(picture.getcolors(1_000_000)) > 200


def test_what_moved_is_called_a_score_where_it_is_none_in_earnest(study) -> None:
    places = pd.DataFrame({"name": ["A"], "edit": [""], "rank_before": [1.0], "rank_after": [1.0], "before": [1.0], "after": [1.0]})
    for normalised, word in ((True, "probability"), (False, "score")):
        page = render(replace(study, comparison=Comparison(places, 0.25, normalised, places)))
        assert f"25.0\u202f% of the {word} moved" in page
