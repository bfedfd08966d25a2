"""The data card: what was read, kept and dropped, by rule. It travels with every score."""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Dropped(BaseModel):
    """Rows left out for one reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    reason: str = Field(description="Stable code of the rule, e.g. `NULL_ISLAND`.")
    rows: int = Field(ge=0)
    explanation: str = Field(description="The rule as a sentence.")
    examples: list[str] = Field(default=[], description="Up to three rows, as `row 18: …`.")


class FileCard(BaseModel):
    """What became of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    file: str
    recognised_as: str = Field(description="Name of the reader.")
    confidence: float = Field(ge=0, le=1)
    table: str = Field(description="The table its rows went to.")
    sha256: str = ""
    rows_in: int = Field(ge=0)
    rows_kept: int = Field(ge=0)
    dropped: list[Dropped] = []
    repairs: list[str] = Field(default=[], description="What was mended or assumed, as sentences with counts.")

    @model_validator(mode="after")
    def _nothing_lost(self) -> "FileCard":
        lost = self.rows_in - self.rows_kept - sum(rule.rows for rule in self.dropped)
        if lost:
            raise ValueError(f"{self.file}: {lost} rows are neither kept nor accounted for")
        return self


class DataCard(BaseModel):
    """All files of a city and the assumptions made on the way."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    files: list[FileCard] = []
    assumptions: list[str] = []
