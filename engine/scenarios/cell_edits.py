"""The edits of cells a what-if of a grid model is made of (LMEMR specification, section 8). JSON in, JSON out."""

import base64
import binascii
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, field_validator, model_validator

from engine.scenarios.edit_base import Edit, Identifier, Subject

ModalityName = Literal["satellite", "height", "street_view", "poi"]
MODALITIES: tuple[ModalityName, ...] = get_args(ModalityName)
MODALITY_TITLES: dict[ModalityName, str] = {
    "satellite": "satellite tile",
    "height": "building heights",
    "street_view": "street views",
    "poi": "places",
}
"""What pages call a modality."""
PictureName = Literal["satellite", "height"]

MOST_IMAGE_BYTES = 200_000
"""Largest picture inside a scenario file, before it is written as text; screens shrink uploads before they make the edit."""

MOST_PLACES = 1_000_000
"""Most places of a category that an edit can put into a cell: each of them is a row of the city's table."""

LARGEST = 3e38
"""Largest amount of an attribute either way: models read 32-bit numbers."""

Amount = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]


class CellEdit(Edit):
    """An edit of one cell."""

    subject: ClassVar[Subject] = "cells"
    cell_id: Identifier

    @property
    def outdates(self) -> ModalityName | None:
        """The modality that is another one afterwards, so that what was said about it speaks of the past; None where there is none."""
        return None


class ChangePois(CellEdit):
    """How many places of a category stand in a cell, or the value of an attribute that came with the zones."""

    kind: Literal["change_pois"] = "change_pois"
    counts: dict[Annotated[str, Field(min_length=1, max_length=200)], Amount] = Field(
        min_length=1,
        max_length=200,
        description=f"Category (root or leaf) to a whole number up to {MOST_PLACES:,}, or attribute of the zones to any number.",
    )

    @property
    def outdates(self) -> ModalityName:  # noqa: D102
        return "poi"

    def describe(self) -> str:
        """The edit as a phrase."""
        listed = ", ".join(f"{name}: {count:,g}" for name, count in list(self.counts.items())[:3])
        return f"in {self.cell_id} count {listed}" + (f" and {len(self.counts) - 3} more" if len(self.counts) > 3 else "")


class ChangeBuildings(CellEdit):
    """The buildings whose middle lies in a cell become taller or lower, in the footprints and in the cell's height tile."""

    kind: Literal["change_buildings"] = "change_buildings"
    factor: float | None = Field(None, ge=0, le=20, allow_inf_nan=False, description="Times as high.")
    metres: float | None = Field(None, ge=0, le=255, allow_inf_nan=False, description="All of them so high.")

    @model_validator(mode="after")
    def _one_of_both(self) -> "ChangeBuildings":
        if (self.factor is None) == (self.metres is None):
            raise ValueError("give either a factor or a height in metres")
        return self

    @property
    def outdates(self) -> ModalityName:  # noqa: D102
        return "height"

    def describe(self) -> str:
        """The edit as a phrase."""
        if self.metres is not None:
            return f"make the buildings of {self.cell_id} {self.metres:g} m high"
        return f"make the buildings of {self.cell_id} {self.factor:g} times as high"


class ChangeTile(CellEdit):
    """A cell's tile is replaced by an uploaded picture or by the tile of another cell."""

    kind: Literal["change_tile"] = "change_tile"
    modality: PictureName = "satellite"
    from_cell: Identifier | None = Field(None, description="The cell whose tile is taken.")
    image: str | None = Field(None, description="A picture (PNG or JPEG) as base64.", repr=False)

    @field_validator("image")
    @classmethod
    def _readable(cls, image: str | None) -> str | None:
        if image is not None:
            try:
                content = base64.b64decode(image, validate=True)
            except (binascii.Error, ValueError):
                raise ValueError("the picture is not base64; choose the file again on the What-if page") from None
            if not 0 < len(content) <= MOST_IMAGE_BYTES:
                raise ValueError(f"the picture has {len(content):,} bytes; a scenario holds up to {MOST_IMAGE_BYTES:,}")
        return image

    @model_validator(mode="after")
    def _one_of_both(self) -> "ChangeTile":
        if (self.from_cell is None) == (self.image is None):
            raise ValueError("give either the cell whose tile is taken or a picture")
        return self

    @property
    def outdates(self) -> ModalityName:  # noqa: D102
        return self.modality

    @property
    def picture(self) -> bytes:
        """The uploaded picture; empty where another cell's tile is taken."""
        return base64.b64decode(self.image) if self.image is not None else b""

    def describe(self) -> str:
        """The edit as a phrase."""
        title = MODALITY_TITLES[self.modality]
        if self.from_cell is not None:
            return f"give {self.cell_id} the {title} of {self.from_cell}"
        return f"give {self.cell_id} an uploaded picture as {title}"


class ChangeDescription(CellEdit):
    """What is said about one modality of a cell is replaced."""

    kind: Literal["change_description"] = "change_description"
    modality: ModalityName
    text: str = Field(min_length=1, max_length=4_000)

    def describe(self) -> str:
        """The edit as a phrase."""
        words = self.text if len(self.text) <= 60 else f"{self.text[:59]}…"
        return f"describe the {MODALITY_TITLES[self.modality]} of {self.cell_id} as “{words}”"


class BlendCells(CellEdit):
    """A cell is made like another one, by degrees: all its modalities and descriptions move towards those of the other cell."""

    kind: Literal["blend_cells"] = "blend_cells"
    like: Identifier
    alpha: float = Field(1.0, ge=0, le=1, allow_inf_nan=False, description="0 leaves the cell as it is, 1 makes it like the other.")

    @model_validator(mode="after")
    def _two_cells(self) -> "BlendCells":
        if self.like == self.cell_id:
            raise ValueError("a cell is already like itself; name another one")
        return self

    def describe(self) -> str:
        """The edit as a phrase."""
        return f"make {self.cell_id} like {self.like}, by {self.alpha:.0%}"


class DropModality(Edit):
    """A modality is not seen, in one cell or in the whole city."""

    subject: ClassVar[Subject] = "cells"
    kind: Literal["drop_modality"] = "drop_modality"
    modality: ModalityName
    cell_id: Identifier | None = Field(None, description="None is the whole city.")

    def describe(self) -> str:
        """The edit as a phrase."""
        where = f"of {self.cell_id}" if self.cell_id is not None else "of any cell"
        return f"do not see the {MODALITY_TITLES[self.modality]} {where}"


class _EdgeEdit(CellEdit):
    neighbour: Identifier

    @model_validator(mode="after")
    def _two_cells(self) -> "_EdgeEdit":
        if self.neighbour == self.cell_id:
            raise ValueError("an edge joins two cells; every cell knows itself already")
        return self


class CutEdge(_EdgeEdit):
    """Two cells are no neighbours any more, in both directions: a river, a wall."""

    kind: Literal["cut_edge"] = "cut_edge"

    def describe(self) -> str:
        """The edit as a phrase."""
        return f"part {self.cell_id} from {self.neighbour}"


class AddEdge(_EdgeEdit):
    """Two cells become neighbours, in both directions: a bridge, a line."""

    kind: Literal["add_edge"] = "add_edge"

    def describe(self) -> str:
        """The edit as a phrase."""
        return f"join {self.cell_id} and {self.neighbour}"


class LeaveDistrictOut(Edit):
    """A district does not count: its cells are not judged, or a new model is fitted that never saw their flows and judged on them."""

    subject: ClassVar[Subject] = "cells"
    kind: Literal["leave_district_out"] = "leave_district_out"
    district: Identifier
    refit: bool = Field(False, description="Fit anew without it and judge on it, rather than only leave it out of the figures.")

    def describe(self) -> str:
        """The edit as a phrase."""
        return f"fit without {self.district} and judge on it" if self.refit else f"leave {self.district} out of the figures"


CellChange = (
    ChangePois | ChangeBuildings | ChangeTile | ChangeDescription | BlendCells | DropModality | CutEdge | AddEdge | LeaveDistrictOut
)
