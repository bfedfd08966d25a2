"""Words and numbers as the screen says them: names shown literally, numbers with three significant digits and a unit.

Names that came from uploads go through `literal` wherever Streamlit would read Markdown, and through `html_literal` in tooltips.
"""

import html
import math
import re
from collections import Counter
from collections.abc import Hashable, Mapping
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import pandas as pd

# Invisible and without width: splits what Markdown plug-ins look for after the backslashes have been read.
WORD_JOINER = "\u2060"
NARROW_SPACE = "\u202f"
LEAST_SHARE = 1e-4
"""Smaller shares are only said to be smaller."""

Key = TypeVar("Key", bound=Hashable)


class HasInterval(Protocol):
    """What evaluation calls an Estimate: a value with its interval and the number of cases behind it."""

    value: float
    low: float
    high: float
    n: int


def literal(text: object, limit: int = 120) -> str:
    """A name as Markdown that renders as exactly that name: no emphasis, formula, link, icon, colour or HTML comes of it.

    Args:
        text: The name, from anywhere.
        limit: Longest text shown; the rest becomes an ellipsis.
    """
    plain = "".join(character if character.isprintable() else " " for character in str(text)).strip()
    if len(plain) > limit:
        plain = plain[: limit - 1] + "…"
    # Links, icons, emoji, colours and arrows are found in the text after escapes are resolved, so they must be broken apart.
    plain = re.sub(r"([:@])(?=\S)|(?<=[Ww]{3})(\.)|(?<=[-<>~=])(?=[-<>=])", lambda found: found.group(0) + WORD_JOINER, plain)
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$&^:=\"'])", r"\\\1", plain)


def plain(markdown: str) -> str:
    """What `literal` and our own bold marks make of text, undone: for files, which read no Markdown."""
    return re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)\*\*", "", markdown)).replace(WORD_JOINER, "")


def html_literal(text: object, limit: int = 120) -> str:
    """A name for HTML tooltips and Plotly labels."""
    plain = "".join(character if character.isprintable() else " " for character in str(text)).strip()
    return html.escape(plain if len(plain) <= limit else plain[: limit - 1] + "…")


def told_apart(labels: Mapping[Key, str]) -> dict[Key, str]:
    """Labels of options, no two of them the same: those that several share are followed by their key.

    A browser answers with the label alone, so of two options called the same it can only ever mean the first.
    """
    often = Counter(labels.values())
    found, taken = {}, {label for label, times in often.items() if times == 1}
    for key, label in labels.items():
        own = label if often[label] == 1 else f"{label} ({key})"
        while own in taken and often[label] > 1:
            own += "*"
        taken.add(own)
        found[key] = own
    return found


def count(number: float) -> str:
    """A whole number with thousands separated: `95,372`."""
    return f"{round(number):,}"


def counted(number: float, one: str, many: str | None = None) -> str:
    """A count with its noun: `1 place`, `4,019 places`."""
    return f"{count(number)} {one if round(number) == 1 else many or one + 's'}"


def significant(number: float, digits: int = 3) -> str:
    """Three significant digits, all of a whole number's, thousands separated; a dash where there is no number."""
    if not math.isfinite(number):
        return "–" if math.isnan(number) else "∞"
    if number == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(number)))
    return f"{number:,.{max(decimals, 0)}f}"


def signed(number: float, digits: int = 3) -> str:
    """A change with its sign: +12.3, −4, 0."""
    if not number:
        return "0"
    return f"{'+' if number > 0 else '−'}{significant(abs(number), digits)}"


def percent(share: float, digits: int = 3) -> str:
    """A share between 0 and 1 as a percentage; more digits than mean anything are not shown of a tiny one."""
    if not math.isfinite(share):
        return "–"
    if 0 < share < LEAST_SHARE:
        return f"less than {LEAST_SHARE * 100:g}{NARROW_SPACE}%"
    return f"{significant(share * 100, digits)}{NARROW_SPACE}%"


def metres(distance: float) -> str:
    """Metres below one kilometre, kilometres above."""
    if not math.isfinite(distance):
        return "–"
    return f"{round(distance):,}{NARROW_SPACE}m" if abs(distance) < 1000 else f"{significant(distance / 1000)}{NARROW_SPACE}km"


def duration(seconds: float) -> str:
    """A span of time in the two largest units: `2 min 5 s`."""
    if not math.isfinite(seconds):
        return "–"
    left = max(0, round(seconds))
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if left >= size:
            parts.append(f"{left // size}{NARROW_SPACE}{unit}")
            left %= size
    return " ".join(parts[:2]) or f"0{NARROW_SPACE}s"


def megabytes(amount: float) -> str:
    """An amount of memory given in megabytes."""
    return f"{significant(amount / 1024)}{NARROW_SPACE}GB" if amount >= 1024 else f"{significant(amount)}{NARROW_SPACE}MB"


def day(instant: datetime | pd.Timestamp, time_zone: str | None = None) -> str:
    """A calendar day, local where the zone is given: `3 Apr 2012`."""
    stamp = pd.Timestamp(instant)
    if time_zone and stamp.tzinfo is not None:
        stamp = stamp.tz_convert(time_zone)
    return f"{stamp.day} {stamp:%b %Y}"


def ago(instant: datetime, now: datetime | None = None) -> str:
    """How long ago something happened: `just now`, `5 min ago`, `3 Apr 2012`."""
    current = now or datetime.now(instant.tzinfo)
    passed = current - instant
    if passed < timedelta(minutes=1):
        return "just now"
    if passed < timedelta(hours=1):
        return f"{passed.seconds // 60} min ago"
    if passed < timedelta(days=1):
        return f"{passed.seconds // 3600} h ago"
    return f"{passed.days} days ago" if 1 < passed.days < 14 else "yesterday" if passed.days == 1 else day(instant)


_SHARES = ("acc", "mrr", "ndcg", "f1", "weighted_f1", "recall", "share", "ceiling")
_SHARES += ("wape", "mape", "log_mape", "oa", "macro_f1", "calibration", "coverage")


def is_share(metric: str) -> bool:
    """Whether a metric is a share between 0 and 1, shown as a percentage."""
    return metric.lower().startswith(_SHARES)


def measured(metric: str, value: float) -> str:
    """A metric's value with its unit, by the metric's name: distances in metres, everything else as a percentage."""
    if "distance" in metric.lower() or metric.lower().endswith(("_m", "_metres")):
        return metres(value)
    return percent(value) if is_share(metric) else significant(value)


def estimate(metric: str, found: HasInterval) -> str:
    """A value with its 95 % interval and n: `21.2 % (20.4 to 22.0, n = 12,141)`."""
    if not found.n:
        return "no case (n = 0)"
    return (
        f"{measured(metric, found.value)} ({measured(metric, found.low)} to {measured(metric, found.high)}, n = {count(found.n)})"
    )


def sentence(text: str, limit: int = 2000) -> str:
    """An engine's sentence as Markdown: what stands between backticks as code, everything else literally, lines kept apart."""
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    lines = []
    for line in shown.splitlines():
        parts = re.split(r"`([^`]*)`", line)
        marked = [f"`{part}`" if index % 2 and part.strip() else _spaced_literal(part) for index, part in enumerate(parts)]
        lines.append("".join(marked))
    return "  \n".join(lines)


def _spaced_literal(text: str) -> str:
    stripped = text.strip()
    if not stripped:
        return text
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return before + literal(stripped, limit=len(stripped)) + after


def span(metric: str, low: float, high: float) -> str:
    """An interval of a metric, the unit left to the value before it: `20.4 to 22.0`."""
    if is_share(metric):
        return f"{significant(low * 100)} to {significant(high * 100)}"
    return f"{measured(metric, low)} to {measured(metric, high)}"


def difference(metric: str, value: float) -> str:
    """A difference of a metric with its sign: shares in percentage points, distances in metres."""
    if not math.isfinite(value):
        return "–"
    size = f"{significant(abs(value) * 100)}{NARROW_SPACE}pp" if is_share(metric) else measured(metric, abs(value))
    return f"{'−' if value < 0 else '+' if value > 0 else ''}{size}"
