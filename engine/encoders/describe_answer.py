"""Answers of language models about a cell: read strictly, repaired where the damage is known, refused otherwise.

What comes back is data from outside. Only a description, an intensity and a curve are taken from it; everything else is ignored.
"""

import json
import math
import re
from dataclasses import dataclass

from engine.encoders.describe import Description

_HOURS = 24
_LONGEST = 2_000


@dataclass(frozen=True)
class Reading:
    """An answer as read.

    Attributes:
        description: None where it cannot be used.
        repaired: Whether the JSON had to be mended (fences, text around it, trailing commas, Python quotes).
        reason: Why it cannot be used; empty if it can.
    """

    description: Description | None
    repaired: bool
    reason: str


def read_answer(answer: str, with_trend: bool, truncated: bool = False) -> Reading:
    """Reads the JSON object in an answer.

    Args:
        answer: What the model wrote.
        with_trend: Whether a curve was asked for; without one in the answer it cannot be used then.
        truncated: Whether the server said that the answer was cut off (`finish_reason` is `length`).

    Returns:
        The description, or why there is none. A cut-off answer is never used, even where what is left of it happens to parse.
    """
    if truncated:
        return Reading(None, False, "the answer was cut off")
    found, repaired = _json_object(answer)
    if found is None:
        return Reading(None, False, "the answer is empty" if not answer.strip() else "the answer is no JSON object")
    text = found.get("description")
    if not isinstance(text, str) or not text.strip():
        return Reading(None, repaired, "the answer has no description")
    plain = " ".join(text.replace("\0", "").split())[:_LONGEST]
    intensity = _number(found.get("intensity"))
    if "intensity" in found and found["intensity"] is not None and (intensity is None or not 0 <= intensity <= 100):
        return Reading(None, repaired, f"the intensity {str(found['intensity'])[:20]!r} is no number from 0 to 100")
    trend = None
    if with_trend:
        raw = found.get("trend")
        values = [_number(value) for value in raw] if isinstance(raw, list) else []
        if len(values) != _HOURS or any(value is None or not 0 <= value <= 1 for value in values):
            return Reading(None, repaired, f"the curve is not {_HOURS} numbers from 0 to 1")
        trend = tuple(float(value) for value in values if value is not None)
    return Reading(Description(plain, intensity, trend), repaired, "")


def _json_object(answer: str) -> tuple[dict[str, object] | None, bool]:
    """The object and whether it had to be mended."""
    text = answer.strip()
    strict = _parse(text)
    if strict is not None:
        return strict, False
    # Models that think aloud put their thoughts in tags before the answer.
    text = re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL | re.IGNORECASE)
    fenced = re.search(r"```(?:json)?\s*(\{.*?\})\s*```", text, flags=re.DOTALL | re.IGNORECASE)
    begin, end = text.find("{"), text.rfind("}")
    candidates = ([fenced.group(1)] if fenced else []) + ([text[begin : end + 1]] if 0 <= begin < end else [])
    for candidate in candidates:
        plain = candidate.replace("“", '"').replace("”", '"')
        without_commas = re.sub(r",\s*([}\]])", r"\1", plain)
        quoted = re.sub(r"(?<=[{,\s])'([A-Za-z_]+)'\s*:", r'"\1":', without_commas)
        for attempt in (candidate, plain, without_commas, quoted):
            parsed = _parse(attempt)
            if parsed is not None:
                return parsed, True
    return None, False


def _parse(text: str) -> dict[str, object] | None:
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value) if isinstance(value, (int, float, str)) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
