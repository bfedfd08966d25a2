import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.city.images import encode_heights, encode_jpeg, encode_png, read_heights, read_image
from engine.errors import IngestError


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def codes(data):
    with pytest.raises(IngestError) as refused:
        read_image(data, "photo")
    (problem,) = refused.value.problems
    assert problem.file == "photo" and problem.found
    return problem.code


GREY = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))


@pytest.mark.parametrize(
    ("image", "kind", "corner"),
    [
        (GREY, "PNG", (0, 0, 0)),
        (GREY.convert("1"), "PNG", (0, 0, 0)),
        (GREY.convert("P"), "PNG", (0, 0, 0)),
        (GREY.convert("RGB"), "JPEG", (0, 0, 0)),
        (GREY.convert("CMYK"), "JPEG", (0, 0, 0)),
        (Image.new("RGBA", (4, 4), (255, 0, 0, 0)), "PNG", (255, 255, 255)),
        (Image.new("RGBA", (4, 4), (255, 0, 0, 255)), "PNG", (255, 0, 0)),
        (Image.new("LA", (4, 4), (0, 0)), "PNG", (255, 255, 255)),
        (Image.new("LA", (4, 4), (7, 255)), "PNG", (7, 7, 7)),
    ],
    ids=["L", "1", "P", "RGB", "CMYK", "RGBA clear", "RGBA solid", "LA clear", "LA solid"],
)
def test_every_mode_becomes_rgb_with_clear_pixels_laid_over_white(image, kind, corner):
    picture = read_image(encoded(image, kind), "photo")
    assert picture.mode == "RGB" and picture.size == image.size
    assert np.abs(np.array(picture)[0, 0].astype(int) - corner).max() <= 4


def test_sixteen_bit_grey_is_scaled_not_cut():
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        picture = np.array(read_image(encoded(Image.fromarray(values), kind), "photo"))
        assert picture[0, :, 0].tolist() == [0, 1, 128, 255]
        assert (picture == picture[..., :1]).all()


def test_floating_point_images_are_stretched_over_their_own_range():
    values = np.array([[-1.0, 0.0, np.nan, 1.0]], dtype=np.float32)
    assert np.array(read_image(encoded(Image.fromarray(values), "TIFF"), "photo"))[0, :, 0].tolist() == [0, 128, 0, 255]


# ---- heights --------------------------------------------------------------------------------------------------------------------

METRES = np.array([[0, 20, 255, 255], [0, 5, 20, 255]], dtype=np.uint8)
IS_INSIDE = METRES < 255
"""A map whose highest building has 20 m; 255 marks what lies outside of the cell."""
LEVELS, MASK = Image.fromarray(METRES), Image.fromarray(IS_INSIDE.astype(np.uint8) * 255)


def palette(image):
    """The grey levels as colours of a palette."""
    image = image.copy()
    image.putpalette([level for level in range(256) for _ in range(3)])
    return image


@pytest.mark.parametrize(
    ("image", "kind", "options"),
    [
        (Image.merge("LA", (LEVELS, MASK)), "PNG", {}),
        (Image.merge("RGBA", (LEVELS, LEVELS, LEVELS, MASK)), "PNG", {}),
        (palette(LEVELS), "PNG", {"transparency": 255}),
        (LEVELS, "PNG", {"transparency": 255}),
        (LEVELS.convert("RGB"), "PNG", {"transparency": (255, 255, 255)}),
        (Image.fromarray(METRES.astype(np.uint16)), "PNG", {"transparency": 255}),
        (Image.fromarray(np.where(IS_INSIDE, METRES, np.nan).astype(np.float32)), "TIFF", {}),
    ],
    ids=["LA", "RGBA", "P with a clear colour", "L with a clear level", "RGB with a clear colour", "16 bit", "float"],
)
def test_heights_are_metres_in_every_mode_and_what_is_clear_lies_outside(image, kind, options):
    metres, inside = read_heights(encoded(image, kind, **options))
    assert inside.tolist() == IS_INSIDE.tolist()
    assert metres.tolist() == np.where(IS_INSIDE, METRES, 0).tolist() and metres.dtype == np.float32


@pytest.mark.parametrize("kind", [np.int32, np.float32, np.uint16])
def test_heights_wider_than_eight_bits_are_cut_and_never_scaled(kind):
    values = np.array([[3, 20, 700, 0]]).astype(kind)
    metres, inside = read_heights(encoded(Image.fromarray(values), "TIFF"))
    assert metres.tolist() == [[3, 20, 255, 0]] and inside.all()


def test_heights_come_back_as_they_were_written_and_shrink_by_means_of_what_is_inside():
    """Of four pixels to one, 40 m beside what is outside stay 40 m, and 10 m beside the ground become 5 m."""
    metres = np.array([[40, 0, 10, 10], [40, 40, 0, 0]], dtype=np.float32)
    inside = np.array([[True, False, True, True], [True, True, True, True]])
    again, clear = read_heights(encode_heights(metres, inside))
    assert again.tolist() == metres.tolist() and clear.tolist() == inside.tolist()
    small, clear = read_heights(encode_heights(metres, inside, longest_side=2))
    assert small.tolist() == [[40, 5]] and clear.all()


def test_a_height_map_that_cannot_be_read_is_refused_in_words():
    with pytest.raises(IngestError, match="none of the formats"):
        read_heights(b"no picture", "tile.tif")


# ---- photographs ----------------------------------------------------------------------------------------------------------------


def test_a_photo_taken_sideways_is_turned_upright_and_forgets_where_it_was_taken():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to the right
    exif[0x010F] = "A camera"
    image = Image.new("RGB", (40, 20), (255, 0, 0))
    image.paste((0, 0, 255), (0, 0, 20, 20))  # blue on the left must come to the top
    picture = read_image(encoded(image, "JPEG", exif=exif, quality=95), "photo")
    assert picture.size == (20, 40)
    top, bottom = np.array(picture)[5, 10], np.array(picture)[35, 10]
    assert top[2] > 200 > 60 > top[0] and bottom[0] > 200 > 60 > bottom[2]
    again = Image.open(io.BytesIO(encode_jpeg(picture)))
    assert not again.getexif() and again.format == "JPEG"


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.array(read_image(data, "photo"))[0, 0].tolist() == [255, 0, 0]


def test_large_photos_are_shrunk_small_ones_are_not_enlarged():
    assert read_image(encoded(Image.new("RGB", (3000, 1500)), "JPEG"), "photo", longest_side=640).size == (640, 320)
    assert read_image(encoded(Image.new("RGB", (30, 15)), "JPEG"), "photo", longest_side=640).size == (30, 15)


@pytest.mark.parametrize("cut", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_truncated_image_is_called_damaged(kind, cut):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    assert codes(data[: int(len(data) * cut)]) in {"IMAGE_DAMAGED", "IMAGE_FORMAT"}


def bomb(width, height):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    row = b"\0" + bytes((width + 7) // 8)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_small_files_of_enormous_images_are_refused_before_they_are_unpacked():
    # 400 Mpx, over twice Pillow's limit: an error there. 100 Mpx, just over the limit: only a warning there.
    assert len(bomb(20_000, 20_000)) < 60_000
    assert codes(bomb(20_000, 20_000)) == "IMAGE_TOO_LARGE"
    assert codes(bomb(10_000, 10_000)) == "IMAGE_TOO_LARGE"
    assert read_image(bomb(1_000, 1_000), "photo").size == (1000, 1000)


@pytest.mark.parametrize(
    "data",
    [
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b'<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg></svg>',
        b"\xef\xbb\xbf  <SVG></SVG>",
    ],
)
def test_svg_is_refused_whatever_it_is_called(data):
    assert codes(data) == "IMAGE_SVG"


def test_other_files_are_no_images():
    assert codes(b"%PDF-1.7") == "IMAGE_FORMAT"
    assert codes(b"%!PS-Adobe-3.0 EPSF-3.0\n") == "IMAGE_FORMAT"
    assert codes(b"") == "IMAGE_FORMAT"


def test_png_keeps_pixels_exactly():
    noise = np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8)
    assert (np.array(read_image(encode_png(Image.fromarray(noise)), "photo")) == noise).all()


STARTS = [encoded(GREY, "PNG"), encoded(GREY, "JPEG"), encoded(GREY, "GIF"), encoded(GREY, "TIFF"), encoded(GREY, "BMP")]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(STARTS), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6), st.binary(max_size=50))
def test_damaged_bytes_give_a_picture_or_a_worded_refusal(data, changes, tail):
    damaged = bytearray(data + tail)
    for position, value in changes:
        damaged[position % len(damaged)] = value
    try:
        assert read_image(bytes(damaged), "photo").mode == "RGB"
    except IngestError as error:
        assert error.problems[0].code.startswith("IMAGE_")
