"""Panels about one set of experts: weights of a question, load, rhythm, one person, how different they are, what labels agree with."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import cached, panels, python_lines, session, wording
from dashboard.figures.expert_effects import effect_bars, likeness_matrix, visit_effects
from dashboard.figures.frame import chart_config
from dashboard.figures.routing_bars import MARKS, Palette, input_shares, load_bars, load_over_training, step_weights
from dashboard.figures.routing_profiles import hours_of_experts, label_matrix, mean_weights, week_of_expert
from dashboard.views import expert_lines
from dashboard.views.export_menu import export_menu
from engine.city.samples import Samples
from engine.evaluation import routing
from engine.evaluation.routed import LabelCheck
from engine.models.answers import share_name
from engine.models.declarations import DEAD_SHARE, ExpertSet

MOST_GROUPS = 14
RAW, USED = "before the choice", "as used"
ONE, SLICE = "this question", "the slice"


@dataclass(frozen=True, eq=False)
class _Steps:
    """Weights per visit as they are drawn, of one question or as means over many."""

    used: np.ndarray  # (visit, expert)
    raw: np.ndarray
    entropy: np.ndarray  # (visit,)
    asked: np.ndarray
    words: list[str]
    caption: str
    table: pd.DataFrame  # (visit,) what the rows of an export begin with


def draw_steps(
    once: "cached.AskedOnce", asked: "cached.Asked", key: str, experts: ExpertSet, palette: Palette, history: pd.DataFrame
) -> None:
    """Stacked weights per visit of one question or over the slice, raw or as used, with entropy."""
    panels.panel(
        "Weights per visit",
        "Drawn: for every visit the model routes, the weight of each expert, of the question above or as means over the questions of the "
        f"slice; below, how undecided the router is (entropy in nats, from 0 for one expert to {np.log(max(len(palette), 1)):.2f} for all "
        "alike).",
        f"Read: {wording.sentence(experts.selection)} Switch to see the weights before that choice. {MARKS}",
        "Do not conclude that a tall bar caused the answer; force or silence the expert on the What-if page to see what it does. Nor that "
        "means which change from left to right are a change within people: visits far back belong to the few who have so many.",
        "NextLocMoE specification §5, §7, §12.",
    )
    with st.container(horizontal=True, gap="small"):
        over = st.segmented_control(
            "Of", [ONE, SLICE], default=ONE, required=True, key="experts.steps.of", label_visibility="collapsed"
        )
        shown = st.segmented_control(
            "Weights", [USED, RAW], default=USED, required=True, key="experts.weights", label_visibility="collapsed"
        )
    steps = _steps_of_question(once, key, experts, history) if over == ONE else _steps_of_slice(asked, key, experts)
    weights = steps.used if shown == USED else steps.raw
    st.plotly_chart(
        step_weights(weights, steps.entropy, steps.asked, steps.words, palette, session.theme()),
        theme=None,
        config=chart_config("experts-steps"),
        key="experts.steps",
        alt="Weights of the experts per visit",
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(steps.caption)
        table = steps.table.join(pd.DataFrame(steps.used, columns=[f"{name}, used" for name in experts.names]))
        table = table.join(pd.DataFrame(steps.raw, columns=[f"{name}, raw" for name in experts.names]))
        table = table.assign(entropy_nats=steps.entropy, asked=steps.asked)
        name = "routing-of-a-question" if over == ONE else "routing-of-a-slice"
        python = (
            expert_lines.of_question(once, key, "used, raw = routed.used[0], routed.raw[0]  # step, expert")
            if over == ONE
            else expert_lines.of_slice(
                asked, key, "means = by_step(routed.used, routed.raw)", imports=["from engine.evaluation.routing import by_step"]
            )
        )
        export_menu("experts.steps.export", name, table, python=python, chart=True)


def draw_inputs(once: "cached.AskedOnce", key: str, experts: ExpertSet, history: pd.DataFrame) -> None:
    """What the router of a set read for each visit of the question; nothing for a set that does not declare it."""
    inputs = once.inputs.get(key)
    if inputs is None:
        return
    panels.panel(
        "What the router went by",
        f"Drawn: for every visit, the lengths of what {', '.join(experts.parts[:-1])} and {experts.parts[-1]} put into the router's first "
        "layer, as shares of their sum.",
        "Read: a part near zero can hardly change who is asked. What stays the same over the visits cannot tell them apart.",
        "Do not conclude that the longest part decides: parts add up with their directions, and what is the same for all experts favours "
        "none of them. Change an input on the What-if page to see what it does.",
        "NextLocMoE specification §7 (the router in three parts), §12 (router input shares).",
    )
    visits = history.iloc[len(history) - len(inputs) :]
    words = [f"{row.when}, {row.place}" for row in visits.rename(columns={"name": "place"}).itertuples()]
    st.plotly_chart(
        input_shares(inputs, experts.parts, words, session.theme()),
        theme=None,
        config=chart_config("experts-inputs"),
        key="experts.inputs",
        alt="What the router read, per visit",
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        share = (inputs / np.maximum(inputs.sum(axis=1, keepdims=True), 1e-12)).mean(axis=0)
        said = ", ".join(f"{part} {wording.percent(float(one), 2)}" for part, one in zip(experts.parts, share, strict=True))
        st.caption(f"Mean of these {wording.counted(len(inputs), 'visit')}: {wording.literal(said, 300)}.")
        table = visits[["when", "name"]].reset_index(drop=True).join(pd.DataFrame(inputs, columns=list(experts.parts)))
        python = expert_lines.of_question(once, key, "inputs = routed.inputs[0]  # step, part")
        export_menu("experts.inputs.export", "router-inputs", table, python=python, chart=True)


def _steps_of_question(once: "cached.AskedOnce", key: str, experts: ExpertSet, history: pd.DataFrame) -> _Steps:
    raw, used = once.raw[key], once.used[key]
    visits = history.iloc[len(history) - len(used) :]
    words = [f"{row.when}, {row.place}" for row in visits.rename(columns={"name": "place"}).itertuples()]
    entropy, asked = routing.entropy(raw), routing.active(used)
    caption = (
        f"Latest visit: {int(asked[-1])} of {len(experts.names)} asked, entropy {entropy[-1]:.2f} nats. "
        f"Mean of these {wording.counted(len(used), 'visit')}: {asked.mean():.1f} asked, {entropy.mean():.2f} nats."
    )
    table = visits[["when", "name", "category", "longitude", "latitude"]].reset_index(drop=True)
    return _Steps(used, raw, entropy, asked, words, caption, table)


def _steps_of_slice(asked: "cached.Asked", key: str, experts: ExpertSet) -> _Steps:
    means = asked.steps[key]
    back = np.arange(len(means.n))[::-1]
    words = [
        f"{'latest visit' if not steps else wording.counted(steps, 'visit') + ' before it'}, n = {wording.counted(n, 'question')}"
        for steps, n in zip(back, means.n, strict=True)
    ]
    fewest = f" The oldest visit drawn is there in {wording.counted(int(means.n[0]), 'question')}." if len(means.n) > 1 else ""
    caption = (
        f"Means over {wording.counted(int(means.n[-1]), 'question')}"
        + (f" spread over {wording.count(asked.total)}." if asked.total > means.n[-1] else ".")
        + f" Latest visit: {means.asked[-1]:.1f} of {len(experts.names)} asked, entropy {means.entropy[-1]:.2f} nats.{fewest}"
    )
    table = pd.DataFrame({"visits_before_the_latest": back, "n": means.n})
    return _Steps(means.used, means.raw, means.entropy, means.asked, words, caption, table)


def draw_load(run_id: str, asked: "cached.Asked", key: str, experts: ExpertSet, palette: Palette) -> None:
    """How the slice's questions are shared among the experts, and how that went during training."""
    routed = asked.routed[key]
    used, raw, often = routing.load(routed.latest), routing.load(routed.latest_raw), routing.asked(routed.latest)
    table = pd.DataFrame({"expert": experts.names, "used": used, "raw": raw, "asked": often, "dead": routing.dead(used)})
    curves = cached.load_curves(run_id, key)
    left, right = st.columns(2, gap="medium")
    with left:
        panels.panel(
            "Load",
            "Drawn: share of all weight each expert got for the latest visits of this slice, as used (bars) and before the choice (ticks).",
            f"Read: the dotted line is the even share. An expert with less than {wording.percent(DEAD_SHARE, 1)} of the weight as used "
            "is called dead; it may still be asked beside others, with little weight.",
            "Do not conclude that load must be even; people and places are not spread evenly either. Nor that a dead expert cannot matter: "
            "what the answer loses without it is measured under Differences.",
            "NextLocMoE specification §12, §14.",
            actions=lambda: export_menu(
                "experts.load.export", "expert-load", table, command=f"mobiscope experts {run_id}", chart=True
            ),
        )
        st.plotly_chart(
            load_bars(used, raw, palette, session.theme()),
            theme=None,
            config=chart_config("experts-load"),
            key="experts.load",
            alt="Load of the experts",
        )
    with right:
        panels.panel(
            "Decided, and evenly used?",
            "Measured over the latest visits of this slice, from the weights before the choice.",
            "Read: a useful router is decided for each visit and uses its experts evenly over all visits; the difference is what the "
            "visit tells about the expert.",
            "Do not conclude from a decided router alone: one that always asks the same expert is decided, too.",
            "NextLocMoE specification §8, §12.",
            actions=(
                lambda: export_menu(
                    "experts.training.export",
                    "expert-load-in-training",
                    curves,
                    python=python_lines.of_run(run_id, "curves = run.curves()"),
                    chart=True,
                )
            )
            if len(curves)
            else None,
        )
        found = routing.specialisation(routed.latest_raw)
        first, second, third = st.columns(3)
        first.metric("Doubt per visit", f"{found.per_row:.2f} nats", help=f"H(g|x): 0 is one expert, {found.even:.2f} all alike.")
        second.metric("Spread over all visits", f"{found.overall:.2f} nats", help=f"H(mean g): {found.even:.2f} is even use.")
        third.metric(
            "Specialisation",
            f"{found.specialisation:.2f} nats",
            help="The second less the first: what the visit tells about the expert.",
        )
        names = [wording.literal(one.shown(40)) for one in palette.labels]
        dead = [
            f"{names[row]} (asked in {wording.percent(float(often[row]), 2)} of questions)"
            for row in np.flatnonzero(routing.dead(used))
        ]
        many = routing.active(routed.latest)
        st.markdown(
            f"- Largest load {wording.percent(float(used.max()))} ({names[int(used.argmax())]}); "
            f"{'no expert is dead' if not dead else 'dead: ' + ', '.join(dead)}.\n"
            f"- {many.mean():.1f} experts asked per visit in the mean (from {int(many.min())} to {int(many.max())}).\n"
            f"- n = {wording.count(len(routed))} questions"
            + (f" spread over {wording.count(asked.total)}." if asked.total > len(routed) else ".")
        )
        if len(curves):
            st.plotly_chart(
                load_over_training(curves, len(experts.names), session.theme()),
                theme=None,
                config=chart_config("experts-training"),
                key="experts.training",
                alt="Largest load and dead experts per epoch",
            )
            st.caption("During training, on the validation part, the latest visit of each window.")
        else:
            st.caption("This run recorded no loads during training.")


def draw_rhythm(asked: "cached.Asked", key: str, experts: ExpertSet, palette: Palette) -> None:
    """When each expert is asked."""
    routed, visits = asked.routed[key], asked.visits
    profile, count = routing.profile(routed.latest_raw, visits["hour"].to_numpy(), visits["weekday"].to_numpy())
    panels.panel(
        "By hour and weekday",
        "Drawn: the mean weight of each expert before the choice, by the local hour in which the latest visit began.",
        "Read: colours that change over the day mean that the router reads time; flat stripes mean that it does not.",
        "Do not conclude from hours with few visits; hover to see n.",
        "NextLocMoE specification §12 (role profile over hour and weekday).",
    )
    st.plotly_chart(
        hours_of_experts(profile, count, palette, session.theme()),
        theme=None,
        config=chart_config("experts-hours"),
        key="experts.hours",
        alt="Experts by hour",
    )
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        chosen = st.selectbox(
            "One expert's week",
            range(len(experts.names)),
            format_func=lambda index: palette.labels[index].shown(60, in_full=True),
            key="experts.week",
            width=340,
        )
        rows = [
            {"expert": name, "weekday": day, "hour": hour, "weight": profile[day, hour, index], "n": int(count[day, hour])}
            for index, name in enumerate(experts.names)
            for day in range(7)
            for hour in range(24)
            if count[day, hour]
        ]
        python = expert_lines.of_slice(
            asked,
            key,
            "when = visits['hour'].to_numpy(), visits['weekday'].to_numpy()",
            "weight, n = profile(routed.latest_raw, *when)  # weekday, hour, expert; weekday, hour",
            imports=["from engine.evaluation.routing import profile"],
        )
        export_menu("experts.rhythm.export", "experts-by-hour", pd.DataFrame(rows), python=python, chart=True)
    with np.errstate(invalid="ignore"):
        most = float(np.nanmax(profile[..., chosen], initial=0.0, where=np.isfinite(profile[..., chosen])))
    st.plotly_chart(
        week_of_expert(profile[..., chosen], count, session.theme(), most),
        theme=None,
        config=chart_config("experts-week-chart"),
        key="experts.week.chart",
        alt="One expert by weekday and hour",
    )


def draw_person(asked: "cached.Asked", key: str, experts: ExpertSet, palette: Palette, user: int, users: np.ndarray) -> None:
    """One person's mean weights in both halves, and how steady people are."""
    routed, visits = asked.routed[key], asked.visits
    everyone = visits["user"].to_numpy(np.int64)
    order = np.lexsort((visits["started_at"].to_numpy(), everyone))
    steady = routing.stability(routed.latest_raw[order], everyone[order], len(users))
    mine = order[everyone[order] == user]
    weights = routed.latest_raw[mine]
    half = len(mine) // 2
    panels.panel(
        f"Whom the model sees in {wording.literal(users[user], 40)}",
        "Drawn: mean weights before the choice over the person's questions of this slice, in the first half (pale) and the second half "
        "of the time; the tick is everybody's mean.",
        "Read: a person whose bars stay where they are is seen as the same kind of person again.",
        "Do not conclude that this is who the person is: it is what the router made of where and when they were.",
        "NextLocMoE specification §12 (stability between halves).",
    )
    left, right = st.columns([58, 42], gap="medium")
    with left:
        if half:
            figure = mean_weights(
                weights[:half].mean(axis=0), weights[half:].mean(axis=0), routed.latest_raw.mean(axis=0), palette, session.theme()
            )
            st.plotly_chart(
                figure,
                theme=None,
                config=chart_config("experts-person-chart"),
                key="experts.person.chart",
                alt="A person's mean weights",
            )
        else:
            panels.nothing("Too few questions", "The person has fewer than two questions among those that were watched.")
        busiest = int(np.bincount(everyone).argmax())
        theirs = visits.loc[everyone == busiest, "step"]
        if np.isnan(steady.cosine[user]) and len(theirs) > len(mine):
            st.button(
                f"Look at {wording.literal(users[busiest], 40)}, who has the most ({wording.counted(len(theirs), 'question')})",
                key="experts.busiest",
                type="primary" if not half else "secondary",
                on_click=session.set_sample,
                args=(str(users[busiest]), int(theirs.min())),
            )
    with right:
        cosine = float(steady.cosine[user]) if user < len(steady.cosine) else float("nan")
        first, second = st.columns(2)
        first.metric(
            "This person", f"{cosine:.2f}" if np.isfinite(cosine) else "–", help="Cosine of both halves; needs six questions."
        )
        second.metric("Median person", _two(float(np.nanmedian(steady.cosine)) if steady.people else float("nan")))
        if steady.people:
            chance = 1 / steady.people
            st.markdown(
                f"- Halves of different people have a mean cosine of {_two(steady.others)}.\n"
                f"- {wording.percent(steady.recognised)} of people are most like themselves among all "
                f"{wording.count(steady.people)} (chance: {wording.percent(chance)}).\n"
                f"- n = {wording.counted(len(mine), 'question')} of this person; "
                f"{wording.counted(steady.people, 'person', 'people')} with six or more."
            )
        else:
            st.caption("Nobody has six questions in this slice, so steadiness cannot be told.")
        means, count = routing.mean_by(routed.latest_raw, everyone, len(users))
        some = np.flatnonzero(count)
        table = pd.DataFrame(means[some], columns=list(experts.names)).assign(
            person=users[some], questions=count[some], cosine_of_halves=steady.cosine[some]
        )
        python = expert_lines.of_slice(
            asked,
            key,
            "users = run.data.samples.log.users",
            "means, n = mean_by(routed.latest_raw, visits['user'].to_numpy(), len(users))  # user, expert; user",
            imports=["from engine.evaluation.routing import mean_by"],
        )
        export_menu("experts.person.export", "mean-weights-by-person", table, python=python, chart=True)


def draw_differences(run_id: str, key: str, experts: ExpertSet, palette: Palette) -> None:
    """Whether the experts differ: forced, silenced, and compared by their weights."""
    left, right = st.columns([56, 44], gap="medium")
    with left:
        effects = cached.effects(run_id, key)
        share = share_name(bool(effects["normalised"].all()))
        panels.panel(
            "Forced and silenced",
            f"Drawn: how far the answer's point moves in the mean when one expert speaks alone, and how much log-{share} the truth "
            "loses when it may not speak and others are chosen instead.",
            "Read: bars near zero on the left mean that it does not matter who is asked. Green on the right means that the expert helps.",
            "Do not conclude from small differences on the right: the questions are few (hover for shares).",
            "NextLocMoE specification §12, §13.",
        )
        st.plotly_chart(
            effect_bars(effects, palette, session.theme()),
            theme=None,
            config=chart_config("experts-effects"),
            key="experts.effects",
            alt="Effects of experts",
        )
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.caption(f"n = {wording.count(int(effects['n'].max()))} questions spread over all cases.")
            python = expert_lines.of_effects(run_id, key)
            export_menu("experts.effects.export", "expert-effects", effects, python=python, chart=True)
    with right:
        panels.panel(
            "How alike they are",
            "Drawn: cosine between what each expert adds; the diagonal is left out.",
            "Read: near 1 means two names for one thing; near 0 that they do unrelated things; below 0 that they do opposite things.",
            "Do not conclude from low likeness that experts matter: small changes in any direction are unlike, too.",
            "NextLocMoE specification §12, §14: above 0.95 in the mean is redundant.",
        )
        cosine = cached.likeness(run_id, key)
        if cosine is None:
            panels.nothing("No vectors to compare", "The model gives no vector per expert of this set.")
            return
        st.plotly_chart(
            likeness_matrix(cosine, palette, session.theme()),
            theme=None,
            config=chart_config("experts-likeness"),
            key="experts.likeness",
            alt="Likeness of experts",
        )
        apart = cosine[~np.eye(len(cosine), dtype=bool)]
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.caption(
                f"Mean cosine {apart.mean():+.2f}, largest {apart.max():+.2f}." if len(apart) else "There is one expert only."
            )
            export_menu(
                "experts.likeness.export",
                "expert-likeness",
                pd.DataFrame(cosine, columns=list(experts.names), index=list(experts.names)),
                python=python_lines.of_model(
                    run_id,
                    f"vectors = run.model.embeddings(run.data.samples.log.places)[{experts.vectors!r}].vectors",
                    "cosine = cosine_similarity(vectors)",
                    imports=["from engine.evaluation.routing import cosine_similarity"],
                ),
                chart=True,
            )


def draw_labels(asked: "cached.Asked", key: str, checks: list[LabelCheck], experts: ExpertSet, palette: Palette) -> None:
    """What the labels agree with: the set as a whole, and each expert against the rest."""
    panels.panel(
        "What the names agree with",
        "Drawn: for every known group (columns), the share of its people or places that each expert leads. In the table, per expert, the "
        "group that it leads most beyond its share of all others.",
        "Read: agreement of the set is the normalised mutual information, 0 to 1; that of one expert with one group the correlation of "
        "both, -1 to 1. Beside both stands what chance gives when the known groups are dealt out anew (mean, standard deviation, and how "
        f"many of them we are above it). {MARKS}",
        "Do not take a name for a finding: nothing in training ties an expert to its name. That a set agrees does not confirm its names.",
        "NextLocMoE specification §12, §14: below a Cramer's V of 0.1 a label stays unverified.",
    )
    if not checks:
        panels.nothing("Nothing known to compare with", "The city has neither categories nor a truth for these people and places.")
        return
    titles = [check.attribute.title for check in checks]
    chosen = st.segmented_control(
        "Compared with",
        titles,
        default=titles[0],
        required=True,
        key=f"experts.attribute.{len(titles)}",
        format_func=wording.literal,
    )
    check = checks[titles.index(str(chosen)) if chosen in titles else 0]
    st.markdown(agreement_words(check))
    kept = slice(0, MOST_GROUPS)
    st.plotly_chart(
        label_matrix(check.share[:, kept], palette, check.groups[kept], check.size[kept], session.theme()),
        theme=None,
        config=chart_config("experts-labels"),
        key="experts.labels",
        alt="Experts by known group",
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        left_out = len(check.groups) - len(check.groups[kept])
        st.caption(
            f"{wording.literal(check.attribute.meaning)}" + (f" {left_out} smaller groups are not drawn." if left_out else "")
        )
        rows = [
            {"expert": experts.names[row], "group": group, "share": check.share[row, column], "size": int(check.size[column])}
            for row in range(len(experts.names))
            for column, group in enumerate(check.groups)
        ]
        python = expert_lines.of_slice(
            asked,
            key,
            "checks = check_labels(run.data.city, run.data.samples, visits, routed.latest_raw)",
            imports=["from engine.evaluation.routed import check_labels"],
        )
        export_menu("experts.labels.export", "label-agreement", pd.DataFrame(rows), python=python, chart=True)
    led = (check.share * check.size).sum(axis=1) / max(check.size.sum(), 1)
    table = pd.DataFrame(
        [
            {
                "expert": palette.labels[expert].shown(40),
                "goes along with": found.group or "no group",
                "leads for": check.share[expert, check.groups.index(found.group)] if found.group else np.nan,
                "of all": led[expert],
                "correlation": found.phi,
                "chance": found.chance,
                "above chance": found.z,
                "clear": found.is_verified,
            }
            for expert, found in enumerate(check.companions)
        ]
    )
    st.dataframe(
        table,
        key="experts.labels.each",
        hide_index=True,
        column_config={
            "leads for": st.column_config.NumberColumn(
                "leads for", format="percent", help="Share of the group that the expert leads."
            ),
            "of all": st.column_config.NumberColumn("of all", format="percent", help="Share of all groups together that it leads."),
            "correlation": st.column_config.NumberColumn("correlation", format="%.2f"),
            "chance": st.column_config.NumberColumn("by chance", format="%.2f", help="Of the best of all groups, dealt out anew."),
            "above chance": st.column_config.NumberColumn("above chance, sd", format="%.1f"),
        },
        height="content",
    )


def agreement_words(check: LabelCheck) -> str:
    """An agreement with its chance level in one sentence of Markdown."""
    found = check.agreement
    verdict = "as a set clearly above chance" if found.is_verified else "as a set not clearly above chance"
    above = f"{found.z:+.1f} standard deviations from chance" if np.isfinite(found.z) else "chance does not vary"
    return (
        f"Agreement with the **{wording.literal(check.attribute.title)}**: normalised mutual information {found.information:.3f} "
        f"(chance {found.chance:.3f} ± {found.chance_sd:.3f}; {above}), Cramer's V {found.cramers_v:.2f}, "
        f"n = {wording.count(found.n)} {check.attribute.noun} – {verdict}."
    )


def draw_visits(run_id: str, index: int, history: pd.DataFrame, samples: Samples) -> None:
    """What each visit did for the answer, by leaving it out."""
    panels.panel(
        "What each visit did",
        "Drawn: per visit, newest on top, how much the log-probability of the first guess falls when the visit is hidden.",
        "Read: green speaks for the answer, red against it. Long bars far down mean that the long history matters.",
        "Do not conclude from one question; and hiding a visit changes the routing and the context at once. The knobs on the What-if "
        "page turn off the two ways apart.",
        "NextLocMoE specification §12 (occlusion), §13 (two paths).",
    )
    left_out = cached.left_out(run_id, index)
    if left_out is None:
        panels.nothing("Nothing to leave out", "The model reads one visit of this history.")
        return
    effect = left_out.effect
    visits, history = len(history), history.tail(len(effect))
    latest = min(len(history), 30)
    labels = [f"{row.when}, {row.place}" for row in history.rename(columns={"name": "place"}).itertuples()]
    st.plotly_chart(
        visit_effects(labels[-latest:], effect[-latest:], session.theme()),
        theme=None,
        config=chart_config("experts-visits"),
        key="experts.visits",
        alt="Effect of every visit",
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        answer = wording.literal(samples.log.places.names[left_out.place])
        read = f" The model reads the latest {len(history)} of {visits} visits." if len(history) < visits else ""
        more = f" Drawn: the latest {latest} of {len(history)}." if latest < len(history) else ""
        st.caption(f"Measured on the first guess, {answer}.{read}{more}")
        python = python_lines.of_model(
            run_id,
            f"question = run.data.samples.histories(np.array([{index}]))",
            "left_out = leave_one_out(run.model, read_by(run.model, question))",
            imports=["import numpy as np", "from engine.scenarios.attribution import leave_one_out, read_by"],
        )
        table = history.assign(effect_nats=effect).drop(columns=["location"])
        export_menu("experts.visits.export", "visit-effects", table, python=python, chart=True)


def _two(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "–"
