"""What README and docs tell people to type is what the command line takes."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from engine import store
from engine.city.synthetic import NAME
from engine.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def typed(page: Path) -> list[list[str]]:
    """The words of every `mobiscope` line in the fenced blocks of a page, without comments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("mobiscope ")]


COMMANDS = [pytest.param(words, id=f"{page.name}: {' '.join(words)}") for page in PAGES for words in typed(page)]


@pytest.mark.parametrize("words", COMMANDS)
def test_a_line_in_a_block_can_be_typed(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands, options, their values and how many arguments there are; runs and servers are not asked for."""
    monkeypatch.chdir(tmp_path)
    for name in words:
        if Path(name).suffix == ".json":
            Path(name).touch()
    group = get_command(app)
    group.commands[words[0]].make_context(words[0], words[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_a_sentence_are_there_with_their_options(page: Path) -> None:
    group = get_command(app)
    for line in re.findall(r"`mobiscope ([^`]+)`", page.read_text(encoding="utf-8")):
        words = line.split()
        command = group.commands.get(words[0])
        assert command, line
        if words[0] == "runs" and len(words) > 1:
            command = command.commands[words[1]]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, line


def test_the_readme_calls_the_built_in_city_by_its_name() -> None:
    cities = [words[words.index("--city") + 1] for words in typed(PAGES[0]) if "--city" in words]
    assert cities and set(cities) == {store.slug(NAME)}
