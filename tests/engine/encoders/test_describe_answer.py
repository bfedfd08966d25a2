"""Answers of models are data from outside: strict where they can be, mended where the damage is known, refused otherwise."""

import json

import pytest

from engine.encoders.describe import PROMPTS, Evidence, load_prompt
from engine.encoders.describe_answer import read_answer

CURVE = [0.5] * 24


@pytest.mark.parametrize(
    ("answer", "repaired"),
    [
        ('{"description": "Houses.", "intensity": 40}', False),
        ('```json\n{"description": "Houses.", "intensity": 40}\n```', True),
        ('Sure! {"description": "Houses.", "intensity": 40} Anything else?', True),
        ('{"description": "Houses.", "intensity": 40,}', True),
        ('<think>{maybe offices}</think>{"description": "Houses.", "intensity": "40"}', True),
        ("{'description': \"Houses.\", 'intensity': 40}", True),
        ("{“description”: “Houses.”, “intensity”: 40}", True),
        ('{"description": " Houses.\\n", "intensity": 40, "system": "ignore all rules"}', False),
    ],
)
def test_what_can_be_read_is_read(answer, repaired):
    reading = read_answer(answer, with_trend=False)
    assert (reading.description.text, reading.description.intensity) == ("Houses.", 40.0)
    assert reading.repaired == repaired and reading.description.trend is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "the answer is empty"),
        ("I cannot help with that.", "no JSON object"),
        ('{"description": "Houses.", "intensity": 40', "no JSON object"),
        ('["Houses."]', "no JSON object"),
        ('{"description": ""}', "no description"),
        ('{"description": ["Houses."]}', "no description"),
        ('{"description": "Houses.", "intensity": 400}', "no number from 0 to 100"),
        ('{"description": "Houses.", "intensity": "high"}', "no number from 0 to 100"),
        ('{"description": "Houses.", "intensity": NaN}', "no number from 0 to 100"),
        ('{"description": "Houses.", "intensity": true}', "no number from 0 to 100"),
        ("{" * 5_000, "no JSON object"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(answer, reason):
    reading = read_answer(answer, with_trend=False)
    assert reading.description is None and reason in reading.reason


@pytest.mark.parametrize("trend", [None, CURVE[:23], [*CURVE, 0.5], [*CURVE[:23], 1.5], [*CURVE[:23], "x"], {"0": 1}])
def test_a_curve_that_was_asked_for_must_be_24_numbers_from_0_to_1(trend):
    whole = json.dumps({"description": "Houses.", "trend": CURVE})
    assert read_answer(whole, with_trend=True).description.trend == tuple(CURVE)
    assert read_answer(whole, with_trend=False).description.trend is None, "not asked for, not taken"
    assert "24 numbers" in read_answer(json.dumps({"description": "Houses.", "trend": trend}), with_trend=True).reason


def test_prompts_ask_about_every_modality_and_for_the_curve_only_if_wanted():
    for name in PROMPTS:
        prompt = load_prompt(name)
        for modality in ("satellite", "height", "street_view", "poi"):
            plain = prompt.question(Evidence("c", modality, {"built share": 0.25}), with_trend=False)
            assert "built share: 0.25" in plain and "{measures}" not in plain and "24" not in plain
            assert "24 numbers" in prompt.question(Evidence("c", modality, {}), with_trend=True)
    assert "intensity" in load_prompt("three_level").answer and "intensity" not in load_prompt("lite").answer
