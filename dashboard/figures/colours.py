"""The colours of every figure, read from `assets/colours.yaml`: one per role, category family and modality, light and dark."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

Theme = Literal["light", "dark"]
Rgb = tuple[int, int, int]

_FILE = Path(__file__).resolve().parents[2] / "assets" / "colours.yaml"
OTHER = "Other"


@dataclass(frozen=True)
class Family:
    """A group of place categories that share a colour."""

    name: str
    colour: str
    aliases: tuple[str, ...]
    words: tuple[str, ...]


@cache
def _read() -> dict[str, Any]:
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))


def _pick(value: Any, theme: Theme) -> str:
    return value if isinstance(value, str) else value[0 if theme == "light" else 1]


def role(name: str, theme: Theme) -> str:
    """Hex colour of a role: truth, prediction, baseline, edited, observed, hit, miss."""
    return _pick(_read()["roles"][name], theme)


def ground(name: str, theme: Theme) -> str:
    """Hex colour of a map layer: beyond, ground, built, water, park, road, building, cell, district, label, halo, scale."""
    return _pick(_read()["map"][name], theme)


def ink(name: str, theme: Theme) -> str:
    """Hex colour of a figure's frame: text, muted, grid, panel."""
    return _pick(_read()["figure"][name], theme)


def modality(name: str) -> str:
    """Hex colour of a modality; the neutral colour for one the file does not know."""
    return _read()["modalities"].get(name, _pick(_read()["other"], "light"))


_PATTERNS = ("", "/", ".", "x", "-", "|", "+", "\\")


def expert(name: str, index: int, theme: Theme) -> str:
    """Hex colour of an expert: its own by name, else the categorical one of its place in the set."""
    own = _read()["experts"].get(name.strip().lower())
    return _pick(own["colour"], theme) if own else categorical(index)


def expert_pattern(name: str, index: int) -> str:
    """Hatching of an expert in stacked bars, as plotly names it, so that colour is never alone."""
    own = _read()["experts"].get(name.strip().lower())
    return str(own["pattern"]) if own else _PATTERNS[index % len(_PATTERNS)]


def categorical(index: int) -> str:
    """Hex colour of the n-th category: Okabe-Ito first, then Tol's muted; repeats after sixteen."""
    colours = _read()["categorical"]
    return colours[index % len(colours)]


def other(theme: Theme) -> str:
    """Hex colour of whatever has no colour of its own."""
    return _pick(_read()["other"], theme)


@cache
def families() -> tuple[Family, ...]:
    """The families of place categories, in the order of the legend."""
    return tuple(Family(f["name"], f["colour"], tuple(f["aliases"]), tuple(f["words"])) for f in _read()["families"])


@cache
def family_of(category: str, root: str = "") -> str:
    """The family of a place: by its root category, else by its category's name, else by a word in it; `OTHER` if none fits.

    Args:
        category: Leaf category as the data has it.
        root: Root category, empty if unknown.
    """
    for text in (root.strip().lower(), category.strip().lower()):
        if text:
            for family in families():
                if text == family.name.lower() or text in family.aliases:
                    return family.name
    # The longest word wins, so that "bus station" is travel although "station" alone would be, too.
    tokens = f" {re.sub(r'[^a-zà-ÿ0-9]+', ' ', category.lower())} "
    found = [
        (len(word), -order, family.name) for order, family in enumerate(families()) for word in family.words if _holds(tokens, word)
    ]
    return max(found)[2] if found else OTHER


def _holds(tokens: str, word: str) -> bool:
    # Short words must stand alone ("bar" is not "barber"); long ones may be stems ("residen").
    return f" {word}" in tokens if len(word) > 5 else f" {word} " in tokens or f" {word}s " in tokens


def family_colour(name: str, theme: Theme) -> str:
    """Hex colour of a family."""
    return next((family.colour for family in families() if family.name == name), other(theme))


def scale(name: Literal["sequential", "diverging", "history"], theme: Theme) -> list[str]:
    """The stops of a continuous scale as hex colours: low to high, below zero to above zero, old to recent."""
    stops = _read()[name]
    return list(stops if isinstance(stops, list) else stops[theme])


def rgb(colour: str) -> Rgb:
    """`#RRGGBB` as three integers 0-255."""
    return (int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16))


def rgba(colour: str, alpha: int = 255) -> list[int]:
    """`#RRGGBB` and an opacity as four integers 0-255, the form deck.gl takes."""
    return [*rgb(colour), alpha]


def css(colour: str, alpha: float) -> str:
    """`#RRGGBB` and an opacity 0-1 as a CSS colour."""
    red, green, blue = rgb(colour)
    return f"rgba({red},{green},{blue},{alpha:g})"


def ramp(values: np.ndarray, stops: Sequence[str]) -> np.ndarray:
    """Colours along a scale.

    Args:
        values: (n,) between 0 and 1; values outside are clipped, NaN counts as 0.
        stops: Hex colours at equal steps.

    Returns:
        (n, 3) int, red green blue 0-255.
    """
    table = np.array([rgb(stop) for stop in stops], float)
    at = np.clip(np.nan_to_num(np.asarray(values, float)), 0, 1) * (len(table) - 1)
    return np.stack([np.interp(at, np.arange(len(table)), table[:, channel]) for channel in range(3)], axis=1).round().astype(int)


def plotly_scale(name: Literal["sequential", "diverging"], theme: Theme) -> list[list[Any]]:
    """A continuous scale in the form plotly takes."""
    stops = scale(name, theme)
    return [[index / (len(stops) - 1), stop] for index, stop in enumerate(stops)]
