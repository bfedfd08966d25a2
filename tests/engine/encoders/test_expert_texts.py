"""Experts from YAML: the built-in ones, an analyst's own, and what is said of files that are no lists of experts."""

import pytest

from engine.encoders.expert_texts import ExpertTexts, changed_experts, read_experts
from engine.errors import ConfigError


def test_the_built_in_experts_are_eleven_roles_and_five_functions():
    roles, functions = read_experts("", "roles"), read_experts("", "functions")
    assert len(roles) == 11 and roles.names[-1] == "undefined" and len(set(roles.texts)) == 11
    assert functions.names == ("leisure", "commerce", "learning", "civic", "living")


def test_an_analysts_own_file_keeps_its_order(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("experts:\n  - {name: early, text: 'Gets up\n      early.'}\n  - {name: late, text: Goes out late.}\n")
    experts = read_experts(str(path), "roles")
    assert experts.names == ("early", "late") and experts.texts[0] == "Gets up early." and experts.source == "mine.yaml"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("experts: [", "is no YAML near line"),
        ("- student", "has no list `experts`"),
        ("experts: student", "has no list `experts`"),
        ("experts: [{name: a, text: b}]", "lists 1 experts; a router chooses among 2 to 64"),
        ("experts: [{name: a, text: b}, {name: c}]", "expert 2 needs a `text` of 1 to 2000 characters; found 'None'"),
        ("experts: [{name: a, text: b}, {name: 7, text: b}]", "expert 2 needs a `name`"),
        ("experts: [{name: a, text: b}, {name: ' a ', text: c}]", "two experts are called 'a'"),
        ("experts: [{name: a, text: b}, 5]", "expert 2 needs a `name`"),
        ("[" * 100_000, "is no YAML"),
        ("experts: 2001-13-45", "is no YAML"),
        ("!!python/object/apply:os.system ['true']", "is no YAML"),
    ],
)
def test_files_that_are_no_experts_are_refused_by_entry(tmp_path, content, sentence):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError) as refused:
        read_experts(str(path), "roles")
    assert sentence in str(refused.value) and "mine.yaml" in str(refused.value)


def test_an_absent_or_unreadable_file_says_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="leave the setting empty for the built-in roles"):
        read_experts(str(tmp_path / "nowhere.yaml"), "roles")
    (tmp_path / "latin.yaml").write_bytes("experts: [é]".encode("latin-1"))
    with pytest.raises(ConfigError, match="is not UTF-8"):
        read_experts(str(tmp_path / "latin.yaml"), "roles")


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (["student", "teacher"], ""),
        (["student", "tutor"], "teacher is gone and tutor is new"),
        (["teacher", "student"], "their order changed"),
        (["nurse", "pilot"], "student, teacher are gone and nurse, pilot are new"),
    ],
)
def test_what_changed_is_named(now, said):
    before = [["student", "student!"], ["teacher", "teacher!"]]
    assert changed_experts(before, ExpertTexts(tuple(now), tuple(f"{name}!" for name in now), "mine")) == said


def test_another_wording_is_named():
    assert changed_experts([["a", "x"], ["b", "y"]], ExpertTexts(("a", "b"), ("x", "z"), "mine")) == "the text of b changed"
