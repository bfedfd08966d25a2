"""Descriptions by fixed rules over what was measured: no model, no network, the same words for the same measurements.

Every threshold is absolute, never relative to the rest of the city, so that editing one cell changes the words about that cell only.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from engine.encoders.describe import Describer, Description, Evidence, PromptName, Report, Told
from engine.errors import EncoderError

ACTIVITIES = ("work", "study", "shopping", "going out", "eating", "travel", "recreation", "health and civic", "home", "industry")
_WORDS: Mapping[str, str] = {
    "work": r"office|professional|business|company|cowork|bank|finance|corporate|lawyer|agency|\btech\b",
    "industry": r"factory|warehouse|industr|logistic|depot|storage|manufactur|workshop|distribution",
    "study": r"college|universit|school|educat|academ|campus|librar|student|kindergarten|lecture|laborator",
    "going out": r"night|\bbar\b|pub\b|club|brewery|lounge|music|theat|cinema|arts|entertain|concert|museum|comedy|galler|casino",
    "eating": r"food|restaurant|caf[eé]|coffee|bakery|diner|bistro|pizz|burger|sandwich|deli\b|ice cream|noodle|tea room|canteen",
    "shopping": r"shop|store|market|mall|retail|boutique|supermarket|pharmac|salon|barber|laundr|service",
    "travel": r"travel|transport|station|\bstop\b|train|metro|subway|bus\b|airport|hotel|ferry|taxi|parking|harbou?r|lodging",
    "recreation": r"outdoor|recreation|park\b|garden|beach|gym|sport|playground|trail|field|pool|scenic|plaza|square",
    "health and civic": r"health|hospital|clinic|doctor|dentist|civic|government|church|religio|city hall|court|police|post office",
    "home": r"resid|home|apartment|housing|dwelling|condo",
}
_PATTERNS = {activity: re.compile(words, re.IGNORECASE) for activity, words in _WORDS.items()}

# Departures by local hour from places of each kind, on an average weekday; our own guesses, 0 to 1.
_DEPARTURES: Mapping[str, tuple[float, ...]] = {
    "home": (4, 2, 1, 1, 2, 12, 45, 90, 100, 60, 42, 38, 38, 36, 36, 38, 40, 44, 48, 46, 34, 22, 14, 8),
    "work": (1, 1, 1, 1, 1, 2, 5, 8, 10, 12, 16, 26, 45, 36, 28, 38, 66, 100, 78, 42, 22, 12, 6, 3),
    "study": (1, 1, 1, 1, 1, 1, 2, 5, 8, 14, 24, 40, 60, 50, 62, 100, 92, 66, 40, 24, 16, 10, 5, 2),
    "shopping": (2, 1, 1, 1, 1, 2, 4, 10, 18, 34, 54, 70, 80, 80, 80, 84, 92, 100, 94, 70, 40, 18, 8, 4),
    "eating": (10, 6, 3, 2, 2, 3, 8, 20, 30, 26, 28, 42, 80, 92, 60, 40, 38, 46, 64, 86, 100, 84, 52, 24),
    "going out": (82, 64, 46, 32, 18, 8, 4, 4, 6, 8, 10, 14, 18, 20, 20, 22, 26, 32, 42, 54, 66, 80, 94, 100),
    "travel": (10, 6, 4, 4, 8, 24, 58, 96, 100, 68, 50, 46, 46, 46, 50, 60, 76, 94, 82, 58, 42, 34, 26, 18),
    "recreation": (3, 2, 1, 1, 2, 6, 14, 22, 28, 38, 50, 60, 68, 74, 80, 88, 96, 100, 88, 62, 38, 20, 10, 5),
    "health and civic": (6, 4, 4, 4, 4, 6, 14, 24, 36, 52, 68, 80, 82, 74, 78, 86, 100, 88, 56, 34, 22, 16, 12, 8),
    "industry": (4, 3, 3, 3, 6, 22, 30, 18, 14, 14, 18, 26, 34, 36, 78, 92, 100, 70, 34, 22, 24, 20, 30, 12),
}


class RuleDescriber(Describer):
    """Words from thresholds; needs nothing.

    Args:
        prompt: `three_level`, or `lite`: land features only.
    """

    name = "rules"
    _VERSION = 2

    def __init__(self, prompt: PromptName = "three_level") -> None:
        self.prompt = prompt

    @property
    def fingerprint(self) -> str:  # noqa: D102
        return f"rules/{self._VERSION}/{self.prompt}"

    def describe(self, evidence: Sequence[Evidence], with_trend: bool, report: Report | None = None) -> Told:  # noqa: D102
        rules: dict[str, Callable[[Mapping[str, float], float], tuple[list[str], str, float, dict[str, float]]]] = {
            "satellite": _satellite,
            "height": _height,
            "street_view": _street_view,
            "poi": _poi,
        }
        descriptions: list[Description | None] = []
        for one in evidence:
            if one.modality not in rules:
                raise EncoderError(f"The rules know nothing of modality `{one.modality}`; they know {', '.join(rules)}.")
            if not one.measures and one.modality != "poi":
                descriptions.append(None)  # nothing was measured: no picture, or none that can be read
                continue
            features, zoning, intensity, mix = rules[one.modality](one.measures, one.area_km2)
            text = _sentence(features)
            if self.prompt == "three_level":
                text = f"{text} Zoning: {zoning}. Activity intensity {round(intensity):d} of 100."
            trend = guess_trend(mix, intensity) if with_trend else None
            descriptions.append(Description(text, None if self.prompt == "lite" else float(round(intensity)), trend))
        return Told(descriptions, {"by rule": sum(one is not None for one in descriptions)})


def activity_of(category: str) -> str | None:
    """The activity a category of places stands for, by words in its name; None if none fits."""
    return next((activity for activity in _PATTERNS if _PATTERNS[activity].search(category)), None)


def kind_in_words(column: str) -> str:
    """The kind of place that a column of a zone table counts, as a word: `poi_night_life` is "night life"."""
    return column[4:].replace("_", " ") if column.lower().startswith("poi_") else column


def guess_trend(mix: Mapping[str, float], intensity: float) -> tuple[float, ...]:
    """Departures in 24 local hours as fixed curves of activities would add up; the highest hour is intensity / 100.

    Args:
        mix: Weight of each activity; nothing known means homes.
        intensity: Activity from 0 to 100.
    """
    weights = {name: weight for name, weight in mix.items() if weight > 0} or {"home": 1.0}
    curve = sum(weight * np.array(_DEPARTURES[name], np.float64) for name, weight in weights.items())
    scaled = np.asarray(curve) / np.max(curve) * np.clip(intensity, 0, 100) / 100
    return tuple(float(value) for value in np.round(scaled, 3))


def trend_sentence(trend: Sequence[float]) -> str:
    """A guessed curve in words, as the paper's third level has it inside the text."""
    hours = np.asarray(trend)
    peak, trough = int(hours.argmax()), int(hours.argmin())
    when = (
        "at night" if peak < 5 or peak >= 21 else "in the morning" if peak < 11 else "at midday" if peak < 15 else "in the evening"
    )
    values = ", ".join(f"{value:.2f}" for value in hours)
    return f"Departures are highest {when} (around {peak:02d}:00) and lowest around {trough:02d}:00; by hour: {values}."


# ---- one rule set per modality: features, zoning, intensity, mix of activities --------------------------------------------------


def _satellite(measures: Mapping[str, float], area_km2: float) -> tuple[list[str], str, float, dict[str, float]]:
    green, built = measures.get("vegetation share", 0.0), measures.get("built-up share", 0.0)
    water = max(measures.get("water share", 0.0), measures.get("map: water share", 0.0))
    park, arterial = measures.get("map: park share", 0.0), measures.get("map: arterial roads, km", 0.0)
    streets, warm = measures.get("map: local streets, km", 0.0), measures.get("warm roof share", 0.0)
    density = streets / max(area_km2, 1e-6)
    features = [
        f"{_share(built)} roofs and paving",
        f"{_share(green)} vegetation",
        f"{_share(water)} water" if water >= 0.03 else "no open water",
    ]
    if park >= 0.03:
        features.append(f"a park over {_share(park)} of the ground")
    if arterial >= 0.15:
        features.append("a main road" if arterial < 0.8 else "several main roads")
    if streets > 0 or arterial > 0:
        features.append("a dense street grid" if density > 14 else "ordinary streets" if density > 6 else "few streets")
    features.append("tiled red roofs" if warm > 0.16 else "mostly grey roofs" if built > 0.35 else "scattered roofs")
    edges = measures.get("edge density", 0.0)
    features.append(
        "fine-grained structure" if edges > 0.45 else "medium-grained structure" if edges > 0.25 else "large even surfaces"
    )
    if water > 0.5:
        zoning, mix = "open water and shore", {"recreation": 1.0}
    elif park > 0.5 or (green > 0.6 and density < 4 and park > 0.1):
        zoning, mix = "park and recreation", {"recreation": 1.0}
    elif green > 0.5 and density < 4:
        zoning, mix = "farmland and open country", {"home": 0.5, "recreation": 0.5}
    elif warm > 0.16 or (green > 0.3 and density > 4):
        zoning, mix = "housing", {"home": 1.0}
    elif built > 0.6 and edges > 0.3:
        zoning, mix = "dense inner city", {"work": 0.5, "shopping": 0.3, "eating": 0.2}
    elif built > 0.5:
        zoning, mix = "large halls, industry or transport", {"industry": 0.7, "travel": 0.3}
    else:
        zoning, mix = "loosely built-up land", {"home": 0.7, "shopping": 0.3}
    intensity = 100 * np.clip(0.75 * built + 0.12 * min(density / 14, 1) + 0.13 * min(arterial / 0.8, 1) - 0.3 * water, 0, 1)
    return features, zoning, float(intensity), mix


def _height(measures: Mapping[str, float], area_km2: float) -> tuple[list[str], str, float, dict[str, float]]:
    built, mean = measures.get("built share", 0.0), measures.get("mean building height, m", 0.0)
    highest, tall = measures.get("highest, m", 0.0), measures.get("share above 40 m", 0.0)
    volume, spread = measures.get("mean height over ground, m", 0.0), measures.get("spread of heights, m", 0.0)
    if built < 0.005:
        return ["no buildings"], "unbuilt land", 2.0, {"recreation": 1.0}
    features = [
        f"{_share(built)} of the ground built on",
        f"buildings {_metres(mean)} high on average",
        f"the highest {_metres(highest)}",
        "an even skyline"
        if spread < 0.3 * max(mean, 1)
        else "a varied skyline"
        if spread < 0.8 * max(mean, 1)
        else "single towers",
    ]
    separate = measures.get("separate buildings, per 100 px side", 0.0)
    features.append("many small buildings" if separate > 60 else "blocks of some size" if separate > 20 else "few large buildings")
    mix: dict[str, float]
    if tall > 0.03 or mean > 32:
        zoning, mix = "high-rise centre, offices", {"work": 0.8, "shopping": 0.2}
    elif mean > 18:
        zoning, mix = "mid-rise town, mixed use", {"work": 0.35, "shopping": 0.3, "home": 0.35}
    elif separate <= 20 and built > 0.15:
        zoning, mix = "low halls, industry or retail", {"industry": 0.7, "shopping": 0.3}
    elif built > 0.12:
        zoning, mix = "low-rise housing and shops", {"home": 0.8, "shopping": 0.2}
    else:
        zoning, mix = "scattered low houses", {"home": 1.0}
    return features, zoning, float(100 * np.clip(np.log1p(volume) / np.log1p(25.0), 0, 1)), mix


def _street_view(measures: Mapping[str, float], area_km2: float) -> tuple[list[str], str, float, dict[str, float]]:
    sky, green = measures.get("sky share", 0.0), measures.get("greenery share", 0.0)
    facade, road = measures.get("facade share", 0.0), measures.get("road share", 0.0)
    warm, lines = measures.get("warm facade share", 0.0), measures.get("upright lines", 0.0)
    features = [
        "wide open sky" if sky > 0.5 else "some sky" if sky > 0.25 else "little sky between buildings",
        "lush greenery" if green > 0.3 else "trees and verges" if green > 0.1 else "little greenery",
        "facades on both sides" if facade > 0.25 else "some facades" if facade > 0.08 else "hardly any facades",
        "brick and warm walls" if warm > 0.4 * max(facade, 0.05) else "pale or glass walls",
        "a broad paved street" if road > 0.3 else "a street" if road > 0.12 else "a lane",
    ]
    mix: dict[str, float]
    if facade < 0.08 and green > 0.2:
        zoning, mix = "open or recreational land", {"recreation": 1.0}
    elif sky < 0.25 and facade > 0.25:
        zoning, mix = "inner-city street", {"work": 0.5, "shopping": 0.3, "going out": 0.2}
    elif green > 0.12:
        zoning, mix = "residential street", {"home": 1.0}
    elif lines > 0.5:
        zoning, mix = "commercial street", {"shopping": 0.6, "work": 0.4}
    else:
        zoning, mix = "mixed street", {"home": 0.5, "shopping": 0.5}
    return features, zoning, float(100 * np.clip(0.15 + 1.6 * facade + 0.4 * road - 0.5 * green - 0.15 * sky, 0, 1)), mix


def _poi(measures: Mapping[str, float], area_km2: float) -> tuple[list[str], str, float, dict[str, float]]:
    counts = {name: value for name, value in measures.items() if value > 0 and not name.startswith("zone: ")}
    zone = {name.removeprefix("zone: "): value for name, value in measures.items() if name.startswith("zone: ")}
    facts = [name if ": " in name and value == 1 else f"{name} {value:,.4g}" for name, value in zone.items()]
    if not counts:
        # Zones may bring their counts along instead of the places themselves.
        counts = {kind_in_words(name): value for name, value in zone.items() if name.lower().startswith("poi_") and value > 0}
        facts = [fact for fact in facts if not fact.lower().startswith("poi_")]
    total = sum(counts.values())
    if total <= 0:
        return ["no points of interest", *facts], "no activity on record", 2.0, {"home": 1.0}
    mix = dict.fromkeys(ACTIVITIES, 0.0)
    for name, value in counts.items():
        activity = activity_of(name)
        if activity:
            mix[activity] += value
    listed = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:8]
    many = "a great many" if total > 60 else "many" if total > 20 else "some" if total > 5 else "few"
    features = [f"{many} points of interest ({total:,.0f})", *(f"{value:,.0f} {name}" for name, value in listed), *facts]
    ranked = sorted((activity for activity in mix if mix[activity] > 0), key=lambda activity: -mix[activity])
    known = sum(mix.values())
    if not ranked:
        zoning = "of unclear use"
    elif mix[ranked[0]] > 0.5 * known:
        zoning = f"mainly {ranked[0]}"
    else:
        zoning = f"mixed use, {' and '.join(ranked[:2])} first"
    density = total / max(area_km2, 1e-6)
    return features, zoning, float(100 * np.clip(np.log1p(density) / np.log1p(2_000.0), 0, 1)), mix


def _share(value: float) -> str:
    """A share in steps of 5 %, so that noise does not change words."""
    return f"{5 * round(20 * float(np.clip(value, 0, 1))):d}%"


def _metres(value: float) -> str:
    step = 1 if value < 20 else 5
    return f"{step * round(value / step):d} m"


def _sentence(features: list[str]) -> str:
    text = ", ".join(features)
    return f"{text[:1].upper()}{text[1:]}."
