"""Images from outside, read safely and made alike: RGB, 8 bits, upright, of bounded size, without metadata."""

import contextlib
import io
import warnings
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from engine.errors import IngestError, Problem

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")
MOST_PIXELS = 89_478_485
"""Pillow's own limit, above which it warns; here it refuses."""

LONGEST_SIDE = 640
HIGHEST_M = 255
"""Metres at which height maps are cut: a grey level each."""

_QUALITY = 88
_WIDE_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def read_image(data: bytes, name: str, longest_side: int | None = None) -> Image.Image:
    """Decodes an image to upright 8-bit RGB.

    Transparent pixels are laid over white; 16-bit values are scaled by 1/257, wider ones from their own range; the first frame of
    an animation counts; the rotation stored by a camera is applied.

    Args:
        data: The file's bytes.
        name: What the analyst calls it, for the refusal.
        longest_side: Shrink to at most this many pixels on the longer side; None keeps the size.

    Returns:
        Image of mode RGB without metadata.

    Raises:
        IngestError: `IMAGE_SVG`, `IMAGE_TOO_LARGE`, `IMAGE_FORMAT` or `IMAGE_DAMAGED`.
    """
    with _upright(data, name, longest_side) as opened:
        picture = to_rgb(opened)
        if longest_side is not None:
            picture.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
        # A fresh image: position and camera in the metadata are nobody's business.
        return Image.fromarray(np.asarray(picture))


def read_heights(data: bytes, name: str = "height map") -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Decodes a height map: its values are metres and never rescaled, whatever their width.

    Args:
        data: The file's bytes; grey of 8, 16 or 32 bits or floats. Of colours the luminance counts.
        name: What the analyst calls it, for the refusal.

    Returns:
        (row, column) float32 metres, 0 to `HIGHEST_M`, 0 outside; and (row, column) bool, which pixels belong to the cell: those
        that are neither transparent nor without a value.

    Raises:
        IngestError: As `read_image`.
    """
    with _upright(data, name) as opened:
        if opened.mode in _WIDE_MODES:
            metres = np.asarray(opened).astype(np.float64)
            inside = np.isfinite(metres) & (metres != opened.info.get("transparency"))
        else:
            layered = opened.convert("RGBA")
            metres = np.asarray(layered.convert("L"), np.float64)
            inside = np.asarray(layered.getchannel("A")) > 127
    return np.clip(np.where(inside, metres, 0), 0, HIGHEST_M).astype(np.float32), inside


def encode_heights(metres: npt.NDArray[np.floating], inside: npt.NDArray[np.bool_], longest_side: int | None = None) -> bytes:
    """The bytes of a PNG with one grey level per metre, transparent where it is not `inside`; what `read_heights` reads back.

    Args:
        metres: (row, column) metres above ground, cut at 0 and `HIGHEST_M`.
        inside: (row, column) bool, which pixels belong to the cell.
        longest_side: Shrink to at most this many pixels on the longer side, each the mean of those inside that it covers.
    """
    if longest_side is not None:
        share = _shrunk(inside, longest_side)
        metres = _shrunk(np.where(inside, metres, 0), longest_side) / np.maximum(share, 1e-6)
        inside = share >= 0.5
    picture = Image.fromarray(np.clip(np.round(metres), 0, HIGHEST_M).astype(np.uint8))
    if not inside.all():
        picture = Image.merge("LA", (picture, Image.fromarray(inside.astype(np.uint8) * 255)))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _shrunk(values: npt.NDArray[np.generic], longest_side: int) -> npt.NDArray[np.float32]:
    # In floats: with an alpha channel of eight bits Pillow's means of metres are a metre off.
    picture = Image.fromarray(values.astype(np.float32))
    picture.thumbnail((longest_side, longest_side), Image.Resampling.BOX)
    return np.asarray(picture)


@contextlib.contextmanager
def _upright(data: bytes, name: str, longest_side: int | None = None) -> Iterator[Image.Image]:
    """The first frame of an image, decoded in its own mode; what fails while it is worked on is worded as the image's fault."""
    if _looks_like_svg(data):
        raise _refuse("IMAGE_SVG", "It is an SVG drawing, which is a program rather than a photograph.", "Bring JPEG or PNG.", name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                width, height = opened.size
                if width * height > MOST_PIXELS:
                    raise Image.DecompressionBombError(f"{width} x {height} pixels")
                if longest_side is not None:
                    opened.draft("RGB", (longest_side, longest_side))
                opened.load()
                yield ImageOps.exif_transpose(opened)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _refuse(
            "IMAGE_TOO_LARGE", f"It has more than {MOST_PIXELS:,} pixels ({error}).", "Bring a smaller version.", name
        ) from None
    except Image.UnidentifiedImageError:
        raise _refuse("IMAGE_FORMAT", "It is none of the formats read here.", f"Bring {', '.join(FORMATS)}.", name) from None
    except Exception as error:  # decoders fail in dozens of classes, from struct.error to SyntaxError; none may reach the analyst
        raise _refuse("IMAGE_DAMAGED", f"It cannot be decoded: {str(error)[:120]}.", "Bring it again.", name) from None


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode as 8-bit RGB: see `read_image`."""
    if image.mode in _WIDE_MODES:
        return Image.fromarray(_to_8_bit(np.asarray(image), image.mode)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")


def encode_jpeg(image: Image.Image) -> bytes:
    """The bytes of a JPEG without metadata."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return buffer.getvalue()


def encode_png(image: Image.Image) -> bytes:
    """The bytes of a PNG without metadata."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _to_8_bit(values: npt.NDArray[np.generic], mode: str) -> npt.NDArray[np.uint8]:
    numbers = values.astype(np.float64)
    if mode.startswith("I;16"):
        return np.asarray(np.round(numbers / 257), dtype=np.uint8)
    finite = np.isfinite(numbers)
    if not finite.any():
        return np.zeros(numbers.shape, dtype=np.uint8)
    low, high = numbers[finite].min(), numbers[finite].max()
    if mode == "I" and low >= 0 and high <= 65535:  # how Pillow opens some 16-bit files
        return np.asarray(np.round(numbers / 257), dtype=np.uint8)
    spread = (high - low) or 1.0
    return np.asarray(np.round(np.where(finite, (numbers - low) / spread, 0.0) * 255), dtype=np.uint8)


def _looks_like_svg(data: bytes) -> bool:
    head = data[:2048].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    return head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!doctype", b"<!--")) and b"<svg" in head)


def _refuse(code: str, found: str, mend: str, name: str) -> IngestError:
    return IngestError([Problem(code, found, mend, name)])
