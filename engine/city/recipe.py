"""What an analyst decided about an upload, as one object: the form fills it, a recipe file keeps it, `--map` writes into it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine import store
from engine.city.readers.base import FileChoices, OptionValue
from engine.errors import ConfigError

ALL_FILES = "*"


class IngestChoices(BaseModel):
    """Decisions about an upload. Everything left out is proposed from the content and written into the data card."""

    model_config = ConfigDict(extra="forbid")
    time_zone: str | None = Field(
        None, description="IANA zone of the city, e.g. America/New_York; None guesses it from coordinates."
    )
    files: dict[str, FileChoices] = Field({}, description="Choices by file name; `*` holds those for all files.")

    def of(self, name: str) -> FileChoices:
        """The choices for one file: its own on top of those for all files."""
        common, own = self.files.get(ALL_FILES, FileChoices()), self.files.get(name, FileChoices())
        return FileChoices(
            reader=own.reader or common.reader,
            mapping=common.mapping | own.mapping,
            options=common.options | own.options,
        )

    def following(self, names: Mapping[str, str]) -> "IngestChoices":
        """A copy for other files: choices of those that stay, members of an archive with them, and what holds for all files.

        Args:
            names: The name that each file which stays has now, by the name it had.
        """
        kept = {}
        for name, own in self.files.items():
            file, slash, member = name.partition("/")
            if file == ALL_FILES or file in names:
                kept[names.get(file, file) + slash + member] = own
        return self.model_copy(update={"files": kept})

    def with_pairs(
        self, pairs: Iterable[str], options: Iterable[str] = (), reader: str | None = None, file: str = ALL_FILES
    ) -> "IngestChoices":
        """A copy with `column=field` pairs (and `option=value` pairs, and a reader) added, as the command line gives them.

        Raises:
            ConfigError: If a pair has no `=`, or an option's value is no YAML.
        """
        mapping: dict[str, str] = {}
        for pair in pairs:
            column, sign, name = pair.rpartition("=")
            if not sign or not column or not name:
                raise ConfigError(f"{pair!r} is no mapping. Write `column=field`, for example `local_time=started_at`.")
            mapping[name] = column
        chosen: dict[str, OptionValue] = {}
        for pair in options:
            name, sign, value = pair.partition("=")
            if not sign:
                raise ConfigError(f"{pair!r} is no option. Write `option=value`, for example `day_first=true`.")
            chosen[name] = _value(value)
        known = self.files.get(file, FileChoices())
        merged = FileChoices(reader=reader or known.reader, mapping=known.mapping | mapping, options=known.options | chosen)
        return self.model_copy(update={"files": self.files | {file: merged}})

    def flags(self, names: Sequence[str]) -> list[str] | None:
        """The flags of `mobiscope ingest` that say the same of these files; None where only a recipe can.

        Flags hold for all files, and cannot take a column out.

        Args:
            names: Of the files, as the choices name them.
        """
        zone = ["--time-zone", self.time_zone] if self.time_zone else []
        decided = {name: own for name, own in self.files.items() if own != FileChoices()}
        if not decided:
            return zone
        if len(names) != 1 or list(decided) != list(names):
            return None
        own = decided[names[0]]
        pairs = [f"{column}={field}" for field, column in own.mapping.items()]
        options = [f"{name}={_word(value)}" for name, value in own.options.items()]
        try:
            if IngestChoices().with_pairs(pairs, options, own.reader).of(names[0]) != own:
                return None
        except ConfigError:
            return None
        given = [("--map", pair) for pair in pairs] + [("--option", option) for option in options]
        reader = ["--reader", own.reader] if own.reader else []
        return [*zone, *reader, *(word for pair in given for word in pair)]

    def as_yaml(self) -> str:
        """The text of the recipe file."""
        return str(yaml.safe_dump(self.model_dump(exclude_defaults=True), allow_unicode=True, sort_keys=False))

    def save(self, path: Path) -> None:
        """Writes the recipe as YAML."""
        store.write_text(path, self.as_yaml())

    @classmethod
    def load(cls, path: Path) -> "IngestChoices":
        """Reads a recipe.

        Raises:
            ConfigError: If it is not YAML or says something unknown.
        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(f"Recipe `{path.name}`: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
        except RecursionError:
            raise ConfigError(f"Recipe `{path.name}` cannot be read: it is nested too deeply.") from None
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ConfigError(f"Recipe `{path.name}` cannot be read: {error}") from None


def _value(text: str) -> OptionValue:
    try:
        found: OptionValue = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError(f"{text[:80]!r} is no value of an option. Put it in quotation marks to have it read as text.") from None
    return found


def _word(value: OptionValue) -> str:
    """A value as `_value` reads it back."""
    try:
        is_plain = isinstance(value, str) and _value(value) == value
    except ConfigError:
        is_plain = False
    return str(value) if is_plain else json.dumps(value, ensure_ascii=False)
