"""When experts are asked: stacked by local hour for weekdays and weekends, and one expert's week."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures import colours
from dashboard.figures.colours import Theme
from dashboard.figures.frame import dress, label, named_axis
from dashboard.figures.routing_bars import Palette, small_titles
from dashboard.figures.week import DAYS


def hours_of_experts(profile: np.ndarray, visits: np.ndarray, palette: Palette, theme: Theme, height: int = 320) -> go.Figure:
    """Mean weights by local hour, weekdays left, weekend right; hours without a visit stay empty.

    Args:
        profile: (weekday, hour, expert) mean weights, NaN without visits; 0 is Monday.
        visits: (weekday, hour).
        palette: The set.
        theme: Light or dark.
        height: Pixels.
    """
    figure = make_subplots(
        rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.03, column_titles=["Monday to Friday", "weekend"]
    )
    for column, days in enumerate((slice(0, 5), slice(5, 7)), start=1):
        count = visits[days].sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.nansum(profile[days] * visits[days][..., None], axis=0) / count[:, None]  # (hour, expert)
        for index, (name, full) in enumerate(zip(palette.ticks, palette.hover, strict=True)):
            figure.add_bar(
                x=list(range(24)),
                y=np.round(mean[:, index] * 100, 2),
                name=name,
                legendgroup=str(index),
                showlegend=column == 1,
                marker=palette.marker(index),
                customdata=count,
                hovertemplate="%{x}:00 to %{x}:59, " + full + "<br>%{y:.1f} %, n = %{customdata:,}<extra></extra>",
                row=1,
                col=column,
            )
    figure.update_layout(barmode="stack", bargap=0.06)
    dress(figure, theme, height)
    figure.update_layout(margin={"t": 30}, legend={"y": 1.12, "font": {"size": 11}})
    figure.update_annotations(font_size=12)
    figure.update_xaxes(tickvals=[0, 6, 12, 18, 23], ticktext=["0 h", "6 h", "12 h", "18 h", "23 h"], showgrid=False)
    figure.update_yaxes(range=[0, 100.5], nticks=5)
    figure.update_yaxes(title_text="mean weight, %", row=1, col=1)
    return small_titles(figure)


def week_of_expert(weights: np.ndarray, visits: np.ndarray, theme: Theme, most: float, height: int = 230) -> go.Figure:
    """One expert's mean weight by weekday and hour.

    Args:
        weights: (weekday, hour), NaN without visits.
        visits: (weekday, hour).
        theme: Light or dark.
        most: Upper end of the scale, the same for all experts of a set.
        height: Pixels.
    """
    hover = [
        [
            f"{DAYS[day]}, {hour}:00<br>"
            + (f"{weights[day, hour]:.1%}, n = {visits[day, hour]:,}" if visits[day, hour] else "no visit (n = 0)")
            for hour in range(24)
        ]
        for day in range(7)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=weights * 100,
            x=list(range(24)),
            y=list(DAYS),
            text=hover,
            hovertemplate="%{text}<extra></extra>",
            colorscale=colours.plotly_scale("sequential", theme),
            zmin=0,
            zmax=max(most * 100, 1e-6),
            xgap=1,
            ygap=1,
            colorbar={
                "title": {"text": "weight, %", "side": "right", "font": {"size": 12}},
                "thickness": 8,
                "outlinewidth": 0,
                "nticks": 4,
            },
        )
    )
    dress(figure, theme, height)
    figure.update_xaxes(tickvals=[0, 6, 12, 18, 23], ticktext=["0 h", "6 h", "12 h", "18 h", "23 h"], showgrid=False)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return small_titles(figure)


def mean_weights(first: np.ndarray, second: np.ndarray, everyone: np.ndarray, palette: Palette, theme: Theme) -> go.Figure:
    """A person's mean weights in the first and the second half of their visits, beside everybody's.

    Args:
        first: (expert,) means of the person in the first half of the time; NaN where there is no visit.
        second: The same in the second half.
        everyone: (expert,) mean of all people.
        palette: The set.
        theme: Light or dark.
    """
    at, names = list(range(len(palette))), palette.hover
    figure = go.Figure()
    for title, values, opacity in (("first half", first, 0.55), ("second half", second, 1.0)):
        figure.add_bar(
            x=values * 100,
            y=at,
            hovertext=names,
            orientation="h",
            name=title,
            opacity=opacity,
            marker={"color": list(palette.colour), "line": {"width": 0}},
            hovertemplate="%{hovertext}, " + title + "<br>%{x:.1f} %<extra></extra>",
            showlegend=False,
        )
    figure.add_scatter(
        x=everyone * 100,
        y=at,
        hovertext=names,
        mode="markers",
        name="everybody",
        marker={"symbol": "line-ns-open", "size": 12, "color": colours.role("observed", theme), "line": {"width": 2}},
        hovertemplate="%{hovertext}, everybody<br>%{x:.1f} %<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(barmode="group", bargap=0.25, bargroupgap=0.05)
    figure.update_xaxes(rangemode="tozero", ticksuffix=" %", nticks=6)
    figure.update_yaxes(**named_axis(palette.ticks, downwards=True))
    return dress(figure, theme, 46 + 27 * max(len(names), 1))


def label_matrix(share: np.ndarray, palette: Palette, groups: Sequence[str], size: np.ndarray, theme: Theme) -> go.Figure:
    """Which expert dominates for which known group; columns sum to one.

    Args:
        share: (expert, group).
        palette: The set; the rows.
        groups: Names of the columns.
        size: (group,) people or places.
        theme: Light or dark.
    """
    columns = [f"{label(group, 18)}<br>n = {count:,}" for group, count in zip(groups, size, strict=True)]
    hover = [
        [f"{expert}<br>leads for {share[row, column]:.0%} of {label(group, 60)}" for column, group in enumerate(groups)]
        for row, expert in enumerate(palette.hover)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=share * 100,
            x=list(range(len(groups))),
            y=list(range(len(palette))),
            text=hover,
            hovertemplate="%{text}<extra></extra>",
            colorscale=colours.plotly_scale("sequential", theme),
            zmin=0,
            zmax=100,
            xgap=1,
            ygap=1,
            colorbar={
                "title": {"text": "of the group, %", "side": "right", "font": {"size": 12}},
                "thickness": 8,
                "outlinewidth": 0,
                "nticks": 5,
            },
        )
    )
    dress(figure, theme, 110 + 22 * len(palette))
    figure.update_xaxes(**named_axis(columns), tickangle=-40 if len(groups) > 6 else 0, tickfont={"size": 10})
    figure.update_yaxes(**named_axis(palette.ticks, downwards=True))
    return small_titles(figure)
