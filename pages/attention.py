"""Attention: what the model looked at, beside what leaving each visit out does."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, panels, python_lines, questions, session, wording
from dashboard.figures import base_map, colours
from dashboard.figures.attention import attention_arcs, attention_matrix, head_multiples, weight_and_effect
from dashboard.figures.frame import chart_config
from dashboard.views import city_map
from dashboard.views.export_menu import export_menu
from dashboard.views.question_picker import pick_question
from dashboard.views.run_gate import gate
from engine.models.answers import share_name
from engine.scenarios.attribution import LeaveOneOut, agreement, rollout

MEAN, ROLLOUT = "mean of all heads", "rollout through all layers"
BELOW = ("Matrix", "Layers and heads", "Visits")


def main() -> None:
    empty = ("There is no trained model to look into", "Attention is learned; train a model or open a finished run.")
    asked = gate("What did it look at?", "attention", empty, ("next_location", "grid_flow"))
    if asked is None:
        return
    if cached.run_task(asked.run) == "grid_flow":
        from dashboard.views import cell_attention

        cell_attention.draw(asked.city, asked.run)
        return
    slug, run_id = asked.city, asked.run
    loaded = cached.loaded_run(run_id)
    declared = [name for name, probe in loaded.model.probes().items() if probe.kind == "attention" and probe.axes[-1] == "key"]
    _, steps = cached.steps_in_slice(run_id, session.slice_group())
    if not declared or steps.empty:
        panels.head("What did it look at?")
        if declared:
            panels.nothing(*panels.no_step(session.slice_group() is not None))
        else:
            title = wording.literal(loaded.model.title)
            panels.nothing(
                f"{title} declares no attention over visits", "It has no probe of that kind, so there is nothing to draw here."
            )
        return
    head = st.container()
    controls = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    with controls:
        index = pick_question(steps, "attention")
    weights = cached.attention(run_id, index)  # (layer, head, query, key)
    history = questions.history_of(loaded.data.samples, index, questions.QueryEdit())
    visits, history = len(history), history.tail(weights.shape[-1]).reset_index(drop=True)
    with controls:
        row, matrix = _chosen(weights)
    left_out = cached.left_out(run_id, index)
    with head:
        panels.head("What did it look at?", _answer(row, history, left_out))
    left, right = st.columns([55, 45], gap="medium")
    python = _python(run_id, index)
    with left:
        _map(slug, row, history, python)
    with right:
        _effects(row, history, visits, left_out, python)
    below = st.segmented_control(
        "Below", BELOW, default="Matrix", required=True, key="attention.below", label_visibility="collapsed"
    )
    labels = [f"{visit.when}, {visit.place}" for visit in history.rename(columns={"name": "place"}).itertuples()]
    if below == "Matrix":
        panels.panel(
            "Who looks at whom",
            "Drawn: the weight every visit (row) gives to itself and to earlier ones (column); rows sum to one.",
            "Read: the last row is what the answer is made from; bright columns are visits that all later ones look at.",
            "Do not conclude that a bright cell caused the answer; compare with the effect of leaving the visit out.",
            "CaLLiPer §2.2 (multi-head self-attention); rollout: Abnar and Zuidema (2020).",
            actions=lambda: export_menu(
                "attention.export.matrix", "attention-matrix", _long(matrix, labels), python=python, chart=True
            ),
        )
        st.plotly_chart(
            attention_matrix(matrix, labels, session.theme()), key="attention.matrix", config=chart_config("attention-matrix")
        )
    elif below == "Layers and heads":
        panels.panel(
            "Layers and heads",
            "Drawn: what the last position looks at, per layer and head; visits from old (left) to recent (right).",
            "Read: a head that always takes the last visit copies; a flat one averages.",
            "Do not conclude from the number of heads that agree; heads of one layer are mixed by learned weights that are not drawn.",
            actions=lambda: export_menu(
                "attention.export.heads", "attention-heads", _heads(weights[:, :, -1, :], labels), python=python, chart=True
            ),
        )
        st.plotly_chart(
            head_multiples(weights[:, :, -1, :], session.theme()), key="attention.heads", config=chart_config("attention-heads")
        )
    else:
        table = history[["when", "name", "category"]].assign(
            **{"attention": row, "effect, nats": _effect_of(left_out, len(history))}
        )
        panels.panel(
            "Visits",
            "Drawn: every visit of the history, newest first, with the attention it gets and the effect of leaving it out.",
            f"Read: the effect is the change of the log-{_share(left_out)} of the first guess, in nats, when the visit is there.",
            "Do not conclude from one history; look at several steps.",
            actions=lambda: export_menu(
                "attention.export.visits",
                "attention-visits",
                history.drop(columns=["location", "position"]).assign(
                    attention=row, effect_nats=_effect_of(left_out, len(history))
                ),
                python=python,
            ),
        )
        st.dataframe(
            table[::-1],
            hide_index=True,
            key="attention.visits",
            column_config={"attention": st.column_config.NumberColumn(format="percent")},
        )


def _python(run_id: str, index: int) -> str:
    """Lines of Python that give the weights of this page, and what leaving each visit out does."""
    return python_lines.of_model(
        run_id,
        f"question = run.data.samples.histories(np.array([{index}]))",
        'names = [name for name, probe in run.model.probes().items() if probe.kind == "attention"]',
        "with watch(run.model, *names) as seen:",
        "    run.model.predict(question)",
        "weights = {name: seen[name][0] for name in names}  # sample, head, query, key",
        "read = read_by(run.model, question)",
        "left_out = leave_one_out(run.model, read) if read.lengths[0] > 1 else None",
        imports=[
            "import numpy as np",
            "from engine.probes import watch",
            "from engine.scenarios.attribution import leave_one_out, read_by",
        ],
    )


def _long(matrix: np.ndarray, labels: list[str]) -> pd.DataFrame:
    """(query, key) weights, one row each; what cannot be looked at, a later visit, is left out."""
    query, key = np.tril_indices(len(matrix))
    names = np.array(labels, object)
    return pd.DataFrame({"visit": names[query], "looks_at": names[key], "weight": matrix[query, key]})


def _heads(weights: np.ndarray, labels: list[str]) -> pd.DataFrame:
    """(layer, head, key) weights of the last position, one row each."""
    layer, head, key = (axis.ravel() for axis in np.indices(weights.shape))
    names = np.array(labels, object)
    return pd.DataFrame({"layer": layer + 1, "head": head + 1, "looks_at": names[key], "weight": weights.ravel()})


def _chosen(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weights in view: (key,) of the last position, and the whole (query, key) matrix."""
    layers, heads = weights.shape[:2]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", width="content"):
        options = [*range(layers), ROLLOUT]
        layer = st.selectbox(
            "Layer",
            options,
            index=layers - 1,
            format_func=lambda item: item if isinstance(item, str) else f"layer {item + 1} of {layers}",
            key="attention.layer",
            width=240,
        )
        head = st.selectbox(
            "Head",
            [MEAN, *range(heads)],
            format_func=lambda item: item if isinstance(item, str) else f"head {item + 1} of {heads}",
            key="attention.head",
            disabled=layer == ROLLOUT,
            width=200,
        )
    if layer == ROLLOUT:
        matrix = rollout(weights)
    else:
        chosen = weights[int(layer)]
        matrix = chosen.mean(axis=0) if head == MEAN else chosen[int(head)]
    return matrix[-1], matrix


def _map(slug: str, row: np.ndarray, history: pd.DataFrame, python: str) -> None:
    panels.panel(
        "Visits looked at",
        "Drawn: arcs from where the person is to the places of the visits looked at; width is the weight, summed over visits to one place.",
        "Read: a thick arc is a place the answer is made from. Use the sliders to see fewer or more.",
        "Do not conclude that weight is influence; the bars beside the map measure influence.",
        "CaLLiPer specification §7.",
    )
    most, least = session.widget("attention.most", 8), session.widget("attention.least", 1)
    shown = history.assign(weight=row).nlargest(int(most), "weight")
    shown = shown[shown["weight"] * 100 >= least]
    here = (float(history["longitude"].iloc[-1]), float(history["latitude"].iloc[-1]))
    theme = session.theme()
    base = cached.base(slug, theme, places=False, buildings="none", faint=True)
    blue = colours.role("prediction", theme)
    layers = [*base.layers, *attention_arcs(shown, here, theme)]
    legend = [
        city_map.Entry("arc", "from the last visit; width: weight", blue),
        city_map.Entry("disc", "place looked at; area: weight", blue),
    ]
    alt = "Map of the visits the model looked at"
    city_map.draw(cached.city(slug), layers, key="attention.map", alt=alt, legend=legend, attribution=base.attribution, height=460)
    first, second = st.columns(2)
    first.slider("Visits shown, at most", 1, 50, 8, key="attention.most")
    second.slider("Weight shown, at least, %", 0, 50, 1, key="attention.least")
    held = wording.percent(float(shown["weight"].sum()))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{wording.counted(len(shown), 'visit')} of {len(history)} hold {held} of the attention.")
        deck = base_map.deck(layers, cached.city(slug), theme)
        export_menu("attention.export", "attention", history.assign(weight=row), deck, python=python)


def _effects(row: np.ndarray, history: pd.DataFrame, visits: int, left_out: LeaveOneOut | None, python: str) -> None:
    table = history.drop(columns=["location", "position"]).assign(attention=row, effect_nats=_effect_of(left_out, len(history)))
    panels.panel(
        "Attention and effect",
        f"Drawn: per visit, newest on top, the attention it gets and how much the log-{_share(left_out)} of the answer falls when it "
        "is hidden.",
        "Read: bars that agree mean that attention tells what mattered. Green speaks for the answer, red against it.",
        "Do not conclude from one history; agreement varies from step to step.",
        "Leave-one-out: specification §7; attention is not explanation (Jain and Wallace 2019).",
        actions=lambda: export_menu("attention.export.effects", "attention-and-effect", table, python=python, chart=True),
    )
    if left_out is None:
        panels.nothing("Nothing to leave out", "The model reads one visit of this history.")
        return
    latest = min(len(history), 24)
    labels = [f"{visit.when}, {visit.place}" for visit in history.rename(columns={"name": "place"}).itertuples()][-latest:]
    with st.container(height=520, border=False):
        figure = weight_and_effect(labels, row[-latest:], _effect_of(left_out, len(history))[-latest:], session.theme())
        st.plotly_chart(figure, key="attention.effects", config=chart_config("attention-and-effect"))
    read = [f"The model reads the latest {len(history)} of {visits} visits."] if len(history) < visits else []
    drawn = [f"Drawn: the latest {latest} of {len(history)}; all of them are under Visits below."] if latest < len(history) else []
    if read or drawn:
        st.caption(" ".join(read + drawn))


def _share(left_out: LeaveOneOut | None) -> str:
    """What the answer is a share of; nothing is known of it where no visit could be left out."""
    return "share" if left_out is None else share_name(left_out.normalised)


def _effect_of(left_out: LeaveOneOut | None, visits: int) -> np.ndarray:
    return left_out.effect if left_out is not None else np.full(visits, np.nan)


def _answer(row: np.ndarray, history: pd.DataFrame, left_out: LeaveOneOut | None) -> str:
    top = int(row.argmax())
    said = (
        f"Most of the attention, {wording.percent(float(row[top]))}, goes to the visit to **{wording.literal(history['name'].iloc[top])}** "
        f"({wording.literal(history['when'].iloc[top])})"
    )
    if left_out is None:
        return said + "."
    effect = _effect_of(left_out, len(history))
    strongest = int(np.abs(effect).argmax())
    share = agreement(row, effect)
    said += f"; leaving out **{wording.literal(history['name'].iloc[strongest])}** ({wording.literal(history['when'].iloc[strongest])}) changes the answer most"
    if np.isnan(share):
        return said + "."
    return (
        said
        + f". Attention and effect agree with a rank correlation of {f'{share:.2f}'.replace('-', '−')} over {len(history)} visits."
    )


main()
