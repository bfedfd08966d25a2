"""What all edits share: frozen, strict, with a note, and a phrase for lists and reports."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Subject = Literal["city", "query", "mechanism", "cells"]
Identifier = Annotated[str, Field(min_length=1, max_length=200)]


class Edit(BaseModel):
    """One change; frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    subject: ClassVar[Subject]
    note: str = Field("", max_length=500, description="Why, in the analyst's words.")

    def describe(self) -> str:
        """The edit as a phrase for lists and reports."""
        raise NotImplementedError(f"{type(self).__name__} does not describe itself")
