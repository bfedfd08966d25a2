"""Lists of places are read in the three forms people have them in, and refused in sentences otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from engine.city.location_list import read_location_list
from engine.errors import ConfigError


@pytest.mark.parametrize(
    "content",
    [
        b"a\nb\n\nc\nb\n",
        b"\xef\xbb\xbfa\r\nb\r\nc",
        b"location_id,name\na,First\nb,Second\nc,Third\na,Again",
        b'"name","location_id"\n"x, y",a\nz,b\nq,c',
        b'["a", "b", "c", "a"]',
    ],
)
def test_ids_come_in_their_order_and_once(content: bytes) -> None:
    assert read_location_list(content) == ("a", "b", "c")


def test_numbers_are_ids_too() -> None:
    assert read_location_list(b"[1, 2]") == ("1", "2") == read_location_list(b"1\n2")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"name,kind\nx,y", "location_id"),
        (b'["a", {"b": 1}]', "ids only"),
        (b'["a"', "cannot be read"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"a\0b", "zero bytes"),
    ],
)
def test_what_is_no_list_says_what_is_needed(content: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_location_list(content)


@given(some.binary(max_size=200))
def test_any_bytes_are_a_list_or_a_sentence(content: bytes) -> None:
    try:
        ids = read_location_list(content)
    except ConfigError as error:
        assert str(error)
    else:
        assert ids and len(set(ids)) == len(ids)
