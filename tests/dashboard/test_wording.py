"""Names are shown as they are; numbers have three digits and a unit."""

import re

import pytest

from dashboard import wording


@pytest.mark.parametrize(
    "name",
    [
        "**bold**",
        "$x^2$",
        "[link](http://x.y)",
        ":material/home:",
        ":red[text]",
        "<b>x</b>",
        "`code`",
        "# title",
        "- item",
        "~~gone~~",
        "a_b_c",
        "1. one",
    ],
)
def test_no_character_that_means_something_to_markdown_stands_unescaped(name: str) -> None:
    shown = wording.literal(name)
    assert not re.search(r"(?<!\\)[*_`$\[\]<>#~]", shown)
    assert shown.replace("\\", "").replace(wording.WORD_JOINER, "") == name, "nothing of the name is lost"


def test_what_plug_ins_look_for_after_escaping_is_broken_apart() -> None:
    """Icons, emoji, links and arrows are found in the text after backslashes are read; the word joiner splits them invisibly."""
    plain = {name: wording.literal(name).replace("\\", "") for name in (":material/home:", ":smile:", "https://x.y", "a@b.c", "->")}
    assert ":material" not in plain[":material/home:"]
    assert ":smile" not in plain[":smile:"]
    assert "://" not in plain["https://x.y"]
    assert "a@b" not in plain["a@b.c"]
    assert "->" not in plain["->"]


def test_long_names_are_cut_and_control_characters_become_spaces() -> None:
    assert len(wording.literal("x" * 500, limit=20)) == 20
    assert "\u202e" not in wording.literal("abc\u202etxt.exe")
    assert "\n" not in wording.literal("two\nlines")


def test_html_is_escaped() -> None:
    assert wording.html_literal('<img src=x onerror="a">') == "&lt;img src=x onerror=&quot;a&quot;&gt;"


def test_sentences_keep_code_between_backticks_and_escape_the_rest() -> None:
    assert wording.sentence("`a*b*.csv`: **no** time zone.") == "`a*b*.csv`\\: \\*\\*no\\*\\* time zone\\."
    assert wording.sentence("one\ntwo").count("\n") == 1


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0.31234, "0.312"),
        (1234.5, "1,234"),
        (0, "0"),
        (12.345, "12.3"),
        (float("nan"), "–"),
        (-0.00123, "-0.00123"),
        (99.96, "100.0"),
    ],
)
def test_three_significant_digits(number: float, shown: str) -> None:
    assert wording.significant(number) == shown


def test_units() -> None:
    space = wording.NARROW_SPACE
    assert wording.percent(0.3124) == f"31.2{space}%"
    assert [wording.percent(share) for share in (0, 8.05e-8, 0.0001)] == [
        f"0{space}%",
        f"less than 0.01{space}%",
        f"0.0100{space}%",
    ]
    assert wording.metres(420.4) == f"420{space}m"
    assert wording.metres(3214) == f"3.21{space}km"
    assert wording.duration(125) == f"2{space}min 5{space}s"
    assert wording.megabytes(2048) == f"2.00{space}GB"
    assert wording.counted(1, "person", "people") == "1 person"
    assert wording.counted(4019, "place") == "4,019 places"


def test_an_estimate_without_cases_says_so() -> None:
    class Nothing:
        value = low = high = float("nan")
        n = 0

    assert wording.estimate("acc@1", Nothing()) == "no case (n = 0)"


def test_differences_carry_their_sign_and_percentage_points() -> None:
    space = wording.NARROW_SPACE
    assert wording.difference("acc@1", -0.012) == f"−1.20{space}pp"
    assert wording.difference("distance_median_m", 120) == f"+120{space}m"


@pytest.mark.parametrize("name", ["Café", "**bold** $x^2$", "a \\ b", ":material/home: www.x.de @me", "=1+1", "<b>"])
def test_a_file_gets_the_name_and_not_its_markdown(name: str) -> None:
    assert wording.plain(f"**{wording.literal(name)}** stands at rank 3.") == f"{name} stands at rank 3."


def test_options_of_one_name_are_told_apart_by_their_key_and_others_stay_as_they_are() -> None:
    labels = {"a": "New York", "b": "New York", "c": "Halden", "d": "New York (a)"}
    apart = wording.told_apart(labels)
    assert list(apart) == list(labels)
    assert len(set(apart.values())) == 4
    assert apart["c"] == "Halden" and apart["b"] == "New York (b)" and apart["d"] == "New York (a)"


def test_a_change_has_its_sign_and_none_has_no_sign() -> None:
    assert [wording.signed(number) for number in (12.345, -4.0, 0.0)] == ["+12.3", "−4.00", "0"]
