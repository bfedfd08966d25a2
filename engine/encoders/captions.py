"""Descriptions as part of a city: asked for once, stored with its tables, and read by every model from there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from engine.city.city import City
from engine.encoders.cell_evidence import TREND_COLUMNS, gather_evidence, prompts_answered, uploaded
from engine.encoders.cell_features import MODALITIES
from engine.encoders.cell_pictures import cell_pictures
from engine.encoders.cell_pois import count_pois
from engine.encoders.describe import Describer, Description, Evidence, PromptName
from engine.encoders.image import PICTURES
from engine.errors import CityError, ConfigError

Report = Callable[[str, float], None]


@dataclass
class Captioned:
    """A city with descriptions, and how they came about.

    Attributes:
        city: The new version of the city, in memory; its fingerprint differs from that of the old one.
        written: Descriptions added, by modality.
        kept: Descriptions that were there and stayed.
        counts: Outcomes, as in `Told`.
        problems: Sentences for what failed.
    """

    city: City
    written: dict[str, int]
    kept: int
    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def caption_evidence(
    city: City,
    modalities: Sequence[str] = MODALITIES,
    replace: bool = False,
    most_street_views: int = 20,
    prompt: PromptName = "three_level",
) -> list[Evidence]:
    """What a describer would be asked about: every modality of every cell that has it and no description yet.

    Args:
        city: A city with `cells`.
        modalities: Which of `MODALITIES`.
        replace: Ask also where there is a description.
        most_street_views: Most photographs of one cell that are measured.
        prompt: What will be asked; descriptions of another prompt do not count as there.

    Raises:
        CityError: If the city has no cells.
        ConfigError: If a modality is unknown.
    """
    strange = [name for name in modalities if name not in MODALITIES]
    if strange:
        raise ConfigError(f"There is no modality `{strange[0]}`; choose among {', '.join(MODALITIES)}.")
    if not city.has("cells"):
        raise CityError(f"City `{city.name}` has no cells. Add zones, or make square cells on the City page.")
    cells = city.spatial("cells")
    known = uploaded(city, cells, modalities, prompt)
    evidence: list[Evidence] = []
    for name in modalities:
        pictures = cell_pictures(city, name, most_street_views=most_street_views) if name in PICTURES else None
        if pictures is None:
            rows = np.flatnonzero(count_pois(city, cells).present).tolist()  # far from every place nothing is known
        else:
            rows = np.unique(pictures.owner).tolist()
        wanted = [int(row) for row in rows if replace or known[name][0][row] is None]
        asked = gather_evidence(city, cells, name, wanted, pictures)
        evidence += [one for one in asked if one.measures or one.modality == "poi"]
    return evidence


def caption_city(
    city: City,
    describer: Describer,
    evidence: Sequence[Evidence],
    with_trend: bool = False,
    report: Report | None = None,
) -> Captioned:
    """Describes pieces of evidence and adds the descriptions to the city.

    Args:
        city: The city the evidence is from.
        describer: Who describes.
        evidence: From `caption_evidence`.
        with_trend: Whether to ask for a guess of the curve too; it is stored in columns of its own, never in the text.
        report: Told the progress.

    Returns:
        The new version of the city. Descriptions of the same cell, modality and prompt are replaced, all others stay.

    Raises:
        EncoderError: If the describer cannot run at all.
    """
    told = describer.describe(evidence, with_trend, report)
    fresh = [(one, said) for one, said in zip(evidence, told.descriptions, strict=True) if said is not None]
    rows = pd.DataFrame([_row(one, said, describer, with_trend) for one, said in fresh])
    old = city.table("descriptions") if city.has("descriptions") else None
    kept = 0
    if old is not None and len(rows):
        replaced = (
            pd.MultiIndex.from_frame(old[["subject", "subject_id", "modality"]]).isin(
                pd.MultiIndex.from_frame(rows[["subject", "subject_id", "modality"]])
            )
            & (prompts_answered(old) == describer.prompt).to_numpy()
        )
        kept = int((~replaced).sum())
        rows = pd.concat([old[~replaced], rows], ignore_index=True) if kept else rows
    written = {name: sum(one.modality == name for one, _ in fresh) for name in MODALITIES}
    if not len(fresh):
        return Captioned(city, written, city.info.rows.get("descriptions", 0), told.counts, told.problems)
    made = city.replace(descriptions=rows)
    card = city.info.data_card
    sentence = f"{len(fresh):,} descriptions of cells were written by {describer.name}."
    made.info = made.info.model_copy(update={"data_card": card.model_copy(update={"assumptions": [*card.assumptions, sentence]})})
    return Captioned(made, written, kept, told.counts, told.problems)


def _row(one: Evidence, said: Description, describer: Describer, with_trend: bool) -> dict[str, object]:
    row: dict[str, object] = {
        "subject": "cell",
        "subject_id": one.cell_id,
        "modality": one.modality,
        "text": said.text,
        "source": describer.name,
        "prompt": describer.prompt,
        "intensity": np.nan if said.intensity is None else float(said.intensity),
    }
    if with_trend:
        row |= dict(zip(TREND_COLUMNS, said.trend or (np.nan,) * len(TREND_COLUMNS), strict=True))
    return row
