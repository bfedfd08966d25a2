"""Rules: the same words for the same measurements, more activity where more stands, and a guess of the curve only if asked for."""

import numpy as np
import pytest

from engine.encoders.describe import Evidence
from engine.encoders.describe_rules import RuleDescriber, activity_of, guess_trend, trend_sentence
from engine.errors import EncoderError


def say(modality: str, prompt: str = "three_level", trend: bool = False, **measures: float):
    told = RuleDescriber(prompt).describe([Evidence("c", modality, measures)], trend)
    return told.descriptions[0]


def test_an_office_quarter_reads_as_work_and_a_bar_street_as_going_out():
    """Offices are left in the late afternoon, bars at night."""
    offices = say("poi", trend=True, Office=30.0, Bank=4.0)
    bars = say("poi", trend=True, **{"Night Club": 8.0, "Cocktail Bar": 6.0})
    assert "mainly work" in offices.text and "30 Office" in offices.text
    assert "mainly going out" in bars.text
    assert np.argmax(offices.trend) == 17 and np.argmax(bars.trend) in (22, 23, 0)
    assert max(offices.trend) == pytest.approx(offices.intensity / 100, abs=0.006)
    assert offices.intensity > say("poi", Office=3.0).intensity > say("poi").intensity


def test_towers_and_fields_get_other_words_and_other_activity():
    towers = say("height", **{"built share": 0.5, "mean building height, m": 60.0, "highest, m": 140.0, "share above 40 m": 0.3,
                              "mean height over ground, m": 30.0})  # fmt: skip
    fields = say("height", **{"built share": 0.0})
    assert "high-rise" in towers.text and towers.intensity > 80
    assert "unbuilt" in fields.text and fields.intensity < 5
    sea = say("satellite", **{"map: water share": 0.9, "water share": 0.8})
    assert "90% water" in sea.text and "open water" in sea.text


def test_the_curve_is_never_in_the_text():
    with_it, without = (say("poi", trend=asked, Office=3.0) for asked in (True, False))
    assert with_it.text == without.text and without.trend is None
    assert "17:00" in trend_sentence(with_it.trend)


def test_the_short_prompt_has_land_features_only():
    lite = say("poi", prompt="lite", Office=3.0)
    assert "Zoning" not in lite.text and "intensity" not in lite.text and lite.intensity is None
    assert lite.text == say("poi", Office=3.0).text.split(" Zoning")[0]


def test_noise_below_a_step_does_not_change_the_words():
    one, other = (say("satellite", **{"vegetation share": value, "built-up share": 0.3}) for value in (0.401, 0.409))
    assert one == other != say("satellite", **{"vegetation share": 0.46, "built-up share": 0.3})


def test_what_was_not_measured_is_not_described():
    """A cell whose picture cannot be read is not a cell without roofs."""
    assert say("satellite") is None and say("street_view") is None
    with pytest.raises(EncoderError, match="know nothing of modality `smell`"):
        say("smell", x=1.0)


def test_categories_are_understood_in_other_words_too():
    expected = {"Metro Station": "travel", "Elementary School": "study", "Ramen Restaurant": "eating", "City Park": "recreation",
                "Corporate Housing": "work", "Warehouse": "industry", "Qqq": None}  # fmt: skip
    assert {name: activity_of(name) for name in expected} == expected
    assert guess_trend({}, 50) == guess_trend({"home": 1.0}, 50)
