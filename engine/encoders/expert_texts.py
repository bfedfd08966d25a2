"""Experts as YAML: a name and a description each, editable by the analyst."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from engine.errors import ConfigError

BUILT_IN = Path(__file__).parents[2] / "assets" / "experts"
FEWEST, MOST = 2, 64
LONGEST_NAME, LONGEST_TEXT = 60, 2000


@dataclass(frozen=True)
class ExpertTexts:
    """Experts in their order.

    Attributes:
        names: Distinct.
        texts: What an encoder reads of each.
        source: Where they come from, for the screen.
    """

    names: tuple[str, ...]
    texts: tuple[str, ...]
    source: str

    def __len__(self) -> int:
        return len(self.names)

    def as_lists(self) -> list[list[str]]:
        """JSON-ready pairs of name and text, in order."""
        return [[name, text] for name, text in zip(self.names, self.texts, strict=True)]


def read_experts(source: str, built_in: str) -> ExpertTexts:
    """Experts from a YAML file: `experts:` with a list of `name` and `text`.

    Args:
        source: Path of a YAML file; empty for the built-in one.
        built_in: Stem of the built-in file: `roles` or `functions`.

    Raises:
        ConfigError: If the file is absent or is not such a list; the message names the entry.
    """
    path = Path(source).expanduser() if source else BUILT_IN / f"{built_in}.yaml"
    where = f"Experts file `{path.name}`"
    if not path.is_file():
        raise ConfigError(
            f"{where} is not there ({path.parent}). Name a YAML file, or leave the setting empty for the built-in {built_in}."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ConfigError(f"{where} is not UTF-8 text. Save it as UTF-8.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" near line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{where} is no YAML{line}. Write a list `experts:` of entries with `name` and `text`.") from None
    entries = content.get("experts") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ConfigError(f"{where} has no list `experts`. Write `experts:` and below it entries with `name` and `text`.")
    if not FEWEST <= len(entries) <= MOST:
        raise ConfigError(f"{where} lists {len(entries)} experts; a router chooses among {FEWEST} to {MOST}.")
    names, texts = [], []
    for number, entry in enumerate(entries, 1):
        values = entry if isinstance(entry, dict) else {}
        for key, longest in (("name", LONGEST_NAME), ("text", LONGEST_TEXT)):
            value = values.get(key)
            if not isinstance(value, str) or not value.strip() or len(value) > longest:
                raise ConfigError(
                    f"{where}: expert {number} needs a `{key}` of 1 to {longest} characters; found {str(value)[:60]!r}."
                )
        name = values["name"].strip()
        if name in names:
            raise ConfigError(f"{where}: two experts are called {name!r}. Names must differ.")
        names.append(name)
        texts.append(" ".join(values["text"].split()))
    return ExpertTexts(tuple(names), tuple(texts), path.name if source else f"built-in {built_in}")


def changed_experts(before: list[list[str]], now: ExpertTexts) -> str:
    """What differs between the experts a model was trained with (as `as_lists`) and those listed now, as a phrase; empty if nothing."""
    old = [name for name, _ in before]
    gone, new = [name for name in old if name not in now.names], [name for name in now.names if name not in old]
    parts = [f"{', '.join(gone)} {'is' if len(gone) == 1 else 'are'} gone"] * bool(gone)
    parts += [f"{', '.join(new)} {'is' if len(new) == 1 else 'are'} new"] * bool(new)
    if not parts and tuple(old) != now.names:
        parts = ["their order changed"]
    if not parts and before != now.as_lists():
        parts = [f"the text of {', '.join(name for name, text in now.as_lists() if [name, text] not in before)} changed"]
    return " and ".join(parts)
