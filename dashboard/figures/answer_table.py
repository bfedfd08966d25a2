"""Ranked answers as small HTML tables: bars for probabilities, the truth in gold with a mark. Every name is escaped."""

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd

from dashboard import wording
from dashboard.figures import colours
from dashboard.figures.colours import Theme
from engine.models.answers import share_name

TRUTH_MARK = "◆"


def style(theme: Theme) -> str:
    """The style sheet of the tables, once per page."""
    text, muted, line = (colours.ink(name, theme) for name in ("text", "muted", "grid"))
    gold, blue = colours.role("truth", theme), colours.role("prediction", theme)
    return f"""<style>
.answers {{border-collapse: collapse; table-layout: fixed; width: 100%; font-size: 0.86rem; color: {text};
  font-variant-numeric: tabular-nums; line-height: 1.25;}}
.answers th {{font-weight: 500; color: {muted}; text-align: left; padding: 2px 6px; border: 0; border-bottom: 1px solid {line}; font-size: 0.78rem;}}
.answers td {{padding: 3px 6px; border: 0; border-bottom: 1px solid {colours.css(line, 0.55)}; vertical-align: middle;}}
.answers .number {{text-align: right; white-space: nowrap;}}
.answers .rank {{display: inline-block; min-width: 1.45em; padding: 0 0.2em; border-radius: 1em; background: {blue};
  color: {"#fff" if theme == "light" else "#0b1420"}; text-align: center; font-weight: 600; font-size: 0.78rem;}}
.answers .edited {{box-shadow: 0 0 0 2px {colours.role("edited", theme)};}}
.answers .quiet {{color: {muted}; font-size: 0.78rem;}}
.answers .name {{max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; display: block;}}
.answers .kind {{max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; display: block; color: {muted}; font-size: 0.76rem;}}
.answers .bar {{display: inline-block; height: 0.55em; border-radius: 2px; background: {blue}; vertical-align: middle; margin-right: 5px;}}
.answers .truth td {{background: {colours.css(gold, 0.13)};}}
.answers .truth td:first-child {{box-shadow: inset 3px 0 0 {gold};}}
.answers .mark {{color: {gold};}}
.answers .share {{white-space: nowrap;}}
.answers .who {{max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; display: block;}}
.answers .up {{color: {colours.role("hit", theme)};}}
.answers .down {{color: {colours.role("miss", theme)};}}
</style>"""


def ranking_html(table: pd.DataFrame, theme: Theme, normalised: bool = True, before: pd.DataFrame | None = None) -> str:
    """The top of an answer.

    Args:
        table: Best first: rank, name, category, probability, from_here_m, is_truth; `rank_before` where `before` is meant.
        theme: Light or dark.
        normalised: Whether the shares are probabilities in earnest; scores otherwise.
        before: Per location the rank before an edit, column `rank_before` indexed by location; None if nothing was edited.
    """
    widest = max(float(table["probability"].max()) if len(table) else 0.0, 1e-9)
    rows = []
    for row in table.itertuples():
        moved = ""
        if before is not None:
            moved = f'<td class="number">{_moved(before["rank_before"].get(row.location, np.nan), row.rank)}</td>'
        mark = f' <span class="mark" title="where the person went">{TRUTH_MARK}</span>' if row.is_truth else ""
        bar = f'<span class="bar" style="width:{max(1.0, 38 * row.probability / widest):.0f}px"></span>'
        rows.append(
            f'<tr class="{"truth" if row.is_truth else ""}">'
            f'<td><span class="rank{" edited" if before is not None else ""}">{row.rank}</span></td>'
            f'<td><span class="name" title="{escape(str(row.name))}">{escape(str(row.name))}{mark}</span>'
            f'<span class="kind">{escape(str(row.category))}</span></td>{moved}'
            f'<td class="share">{bar}{escape(wording.percent(row.probability, 2))}</td>'
            f'<td class="number">{escape(wording.metres(row.from_here_m))}</td></tr>'
        )
    changed = '<th class="number" title="rank before the edit">was</th>' if before is not None else ""
    head = f'<tr><th></th><th>place</th>{changed}<th>{share_name(normalised)}</th><th class="number" title="distance from the last visit">away</th></tr>'
    widths = (9, 38, 15, 21, 17) if before is not None else (9, 44, 26, 21)
    return f'<table class="answers">{_columns(widths)}{head}{"".join(rows)}</table>'


def predictors_html(rows: Sequence[dict[str, object]], theme: Theme) -> str:
    """The same question answered by several predictors.

    Args:
        rows: title, rank (float, inf where not answered), truth_probability, first (name of the first guess), distance_m (from the
            first guess to the truth), is_model, normalised.
        theme: Light or dark.
    """
    body = []
    for row in rows:
        rank = float(row["rank"])  # type: ignore[arg-type]
        words = f"{rank:,.0f}" if np.isfinite(rank) else "–"
        share = wording.percent(float(row["truth_probability"]), 2)  # type: ignore[arg-type]
        weight = "font-weight:600" if row["is_model"] else ""
        title, first = escape(str(row["title"])), escape(str(row["first"]))
        body.append(
            f'<tr style="{weight}"><td><span class="who" title="{title}">{title}</span></td><td class="number">{words}</td>'
            f'<td class="number">{share}{"" if row["normalised"] else "*"}</td>'
            f'<td><span class="name" title="{first}">{first}</span></td>'
            f'<td class="number">{escape(wording.metres(float(row["distance_m"])))}</td></tr>'  # type: ignore[arg-type]
        )
    head = (
        '<tr><th>asked</th><th class="number" title="rank given to where the person went">rank</th>'
        '<th class="number" title="share given to where the person went">share</th><th>first guess</th>'
        '<th class="number">error</th></tr>'
    )
    return f'<table class="answers">{_columns((32, 10, 19, 20, 19))}{head}{"".join(body)}</table>'


def shift_html(table: pd.DataFrame, theme: Theme) -> str:
    """What an edit did: ranks and probabilities before and after.

    Args:
        table: From `questions.shift_table`.
        theme: Light or dark.
    """
    rows = []
    for row in table.itertuples():
        change = float(row.change)
        words = f"{'+' if change > 0 else '−' if change < 0 else ''}{wording.significant(abs(change) * 100, 2)} pp"
        mark = f' <span class="mark">{TRUTH_MARK}</span>' if row.is_truth else ""
        rows.append(
            f'<tr class="{"truth" if row.is_truth else ""}"><td><span class="name" title="{escape(str(row.name))}">'
            f'{escape(str(row.name))}{mark}</span><span class="kind">{escape(str(row.category))}</span></td>'
            f'<td class="number">{_place(row.rank_before)}</td><td class="number">{_place(row.rank_after)}</td>'
            f'<td class="number">{escape(wording.percent(row.before, 2))}</td><td class="number">{escape(wording.percent(row.after, 2))}</td>'
            f'<td class="number"><span class="{"up" if change > 0 else "down" if change < 0 else "quiet"}">{words}</span></td></tr>'
        )
    head = (
        '<tr><th>place</th><th class="number">rank before</th><th class="number">after</th><th class="number">share before</th>'
        '<th class="number">after</th><th class="number">change</th></tr>'
    )
    return f'<table class="answers">{_columns((37, 13, 10, 14, 11, 15))}{head}{"".join(rows)}</table>'


def _columns(shares: Sequence[int]) -> str:
    return "<colgroup>" + "".join(f'<col style="width:{share}%">' for share in shares) + "</colgroup>"


def _place(rank: float) -> str:
    return f"{rank:,.0f}" if np.isfinite(rank) else "–"


def _moved(before: float, after: float) -> str:
    if not np.isfinite(before):
        return '<span class="up">▲ new</span>'
    step = int(before) - int(after)
    if step == 0:
        return '<span class="quiet">=</span>'
    return f'<span class="{"up" if step > 0 else "down"}">{"▲" if step > 0 else "▼"} {int(before):,}</span>'
