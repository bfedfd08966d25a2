"""The report opens offline, shows names as text, and holds what it promises."""

import re

import pandas as pd
import pytest

from dashboard.figures import base_map
from dashboard.figures.slice_bars import slice_bars
from dashboard.figures.still import still_png
from dashboard.report import Study, render
from engine.city.data_card import DataCard, Dropped, FileCard
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
        settings={"name": EVIL},
        metrics=metrics,
        map_png=still_png(base_map.deck(base_map.base_map(tiny_city, "light").layers, tiny_city, "light"), "light", (200, 160)),
        figures=(("By popularity", figure, EVIL),),
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


def test_a_still_map_is_drawn_and_not_blank(tiny_city) -> None:
    from io import BytesIO

    from PIL import Image

    for theme in ("light", "dark"):
        deck = base_map.deck(base_map.base_map(tiny_city, theme).layers, tiny_city, theme)
        picture = Image.open(BytesIO(still_png(deck, theme, (300, 240))))
        assert picture.size == (300, 240)
        assert len(picture.getcolors(1_000_000)) > 200
