"""A zip of street-level photographs with a table that says where each was taken."""

import hashlib
import re
import tempfile
import uuid
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import ClassVar

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from engine.city.checks import Ledger, quoted
from engine.city.images import LONGEST_SIDE, encode_jpeg, read_image
from engine.city.readers.archives import extract_member, safe_members
from engine.city.readers.base import FieldSpec, FileChoices, OptionSpec, ReadContext, Reader, ReadResult, SniffedFile
from engine.city.readers.frames import map_by_name, numbers_of, read_text_frame, settle_mapping
from engine.city.readers.sniff import sniff
from engine.city.schema import WGS84
from engine.errors import IngestError, Problem

MOST_IMAGES = 20_000
_MOST_IMAGE_BYTES = 64 << 20
_IMAGE_NAME = re.compile(r"\.(jpe?g|png|gif|webp|tiff?|bmp|svg)$", re.IGNORECASE)
_TABLE_NAME = re.compile(r"\.(csv|tsv|txt|parquet|dat)$|(^|/)[^./]+$", re.IGNORECASE)


class StreetViewReader(Reader):
    """Photographs matched with the rows of a table by name; what finds no partner is counted on both sides."""

    name: ClassVar[str] = "street_views"
    title: ClassVar[str] = "Zip of street views with a table of coordinates"
    tables: ClassVar[tuple[str, ...]] = ("street_views",)
    fields: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec(
            "image",
            "name of the image, with or without folder and ending",
            required=True,
            synonyms=tuple("filename file image imagename imagefile path filepath uuid imageid panoid id key name photo".split()),
        ),
        FieldSpec("latitude", "degrees north, WGS84", "latitude", True, ("latitude", "lat", "y", "gpslatitude")),
        FieldSpec("longitude", "degrees east, WGS84", "longitude", True, ("longitude", "lon", "lng", "long", "x", "gpslongitude")),
        FieldSpec(
            "heading",
            "direction of view, degrees clockwise from north",
            "number",
            synonyms=("heading", "bearing", "compassangle", "yaw", "direction", "azimuth", "computedcompassangle"),
        ),
    )
    options: ClassVar[tuple[OptionSpec, ...]] = (OptionSpec("table", "member of the zip that holds the coordinates"),)

    def recognise(self, file: SniffedFile) -> float:
        """By the members of the zip: mostly images, and something that can be a table."""
        if file.kind != "zip":
            return 0.0
        images, tables = _images(file.entries), _tables(file.entries)
        if not images or any(name.lower().endswith(".shp") for name in file.entries):
            return 0.0
        if tables:
            return 0.9 if len(images) >= len(tables) else 0.6
        return 0.5

    def propose(self, file: SniffedFile) -> dict[str, str]:
        """Columns of the table by name; the image column is the one whose values name the most images."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                return self._find_table(file, Path(folder), None)[1]
        except IngestError:
            return {}

    def read(self, file: SniffedFile, choices: FileChoices, context: ReadContext) -> ReadResult:
        """Reads table and images; the images are checked, turned upright, shrunk and stored anew."""
        chosen = self.option(choices, "table")
        table, proposed = self._find_table(file, context.folder, None if chosen is None else str(chosen))
        mapping = settle_mapping(file, self.fields, choices, proposed, table.columns)
        ledger = Ledger(file.name, problems=[*file.problems, *table.problems])
        frame = read_text_frame(table, ledger, list(dict.fromkeys(mapping.values())), context.limit_rows)
        keep = np.ones(len(frame), dtype=bool)
        longitude, latitude = _positions(frame, mapping, table, keep, ledger)
        names = frame[mapping["image"]]
        known = _by_name(_images(file.entries))
        members = names.map(lambda name: known.get(_normal(name), ""))
        ledger.drop("DUPLICATE", keep, frame.duplicated().to_numpy(), column=mapping["image"], values=list(names))
        ledger.drop("IMAGE_MISSING", keep, (members == "").to_numpy(), column=mapping["image"], values=list(names))
        self._report_unplaced(file, members, context, ledger)
        if int(keep.sum()) > MOST_IMAGES:
            found = f"The archive holds {int(keep.sum()):,} street views; at most {MOST_IMAGES:,} are read."
            raise IngestError([Problem("LIMIT", found, "Bring a selection of them.", file.name)])
        paths, media = self._read_images(file, members, keep, ledger, context)
        ledger.close()
        if ledger.is_refused:
            raise IngestError(ledger.problems)
        views = gpd.GeoDataFrame(
            {"path": pd.Series(paths[keep], dtype="str"), "heading": _headings(frame, mapping, table)[keep]},
            geometry=gpd.points_from_xy(longitude[keep], latitude[keep]),
            crs=WGS84,
        )[["geometry", "path", "heading"]]
        card = self.card(file, "street_views", ledger.rows_in, len(views), ledger.dropped, ledger.repairs)
        return ReadResult({"street_views": views}, cards=[card], problems=ledger.problems, media=media)

    def _find_table(self, file: SniffedFile, folder: Path, chosen: str | None) -> tuple[SniffedFile, dict[str, str]]:
        """The member with the coordinates, sniffed, and the proposed mapping."""
        members = {member.filename: member for member in safe_members(file.path, file.name)}
        candidates = [name for name in _tables(tuple(members)) if chosen in (None, name, PurePosixPath(name).name)]
        images = _by_name(_images(tuple(members)))
        best: tuple[tuple[int, int], SniffedFile, dict[str, str]] | None = None
        with zipfile.ZipFile(file.path) as archive:
            for name in candidates[:20]:
                target = folder / f"{uuid.uuid4().hex}.table"
                try:
                    extract_member(archive, members[name], file.name, target)
                    table = sniff(target, f"{file.name}/{name[-80:]}", folder)
                except IngestError:
                    continue
                mapping = map_by_name(table.columns, self.fields)
                matches = {column: sum(_normal(text) in images for text in texts) for column, texts in table.samples.items()}
                if matches and max(matches.values()):
                    mapping["image"] = max(matches, key=lambda column: matches[column])
                score = (len({"latitude", "longitude"} & set(mapping)), max(matches.values(), default=0))
                if best is None or score > best[0]:
                    best = (score, table, mapping)
        if best is None or (chosen is None and best[0][0] < 2):
            found = "No table in the archive says where the images were taken."
            mend = "Add a CSV with the columns filename, lat, lon and, if known, heading."
            raise IngestError([Problem("NO_TABLE", found, mend, file.name)])
        return best[1], best[2]

    def _read_images(
        self, file: SniffedFile, members: pd.Series, keep: npt.NDArray[np.bool_], ledger: Ledger, context: ReadContext
    ) -> tuple[npt.NDArray[np.object_], dict[str, bytes]]:
        paths = np.full(len(members), "", dtype=object)
        damaged, refused = np.zeros(len(members), bool), np.zeros(len(members), bool)
        reasons = [""] * len(members)
        media: dict[str, bytes] = {}
        with zipfile.ZipFile(file.path) as archive:
            for done, row in enumerate(np.flatnonzero(keep)):
                context.report(f"{file.name}: image {done + 1:,} of {int(keep.sum()):,}", done / max(int(keep.sum()), 1))
                try:
                    data = encode_jpeg(read_image(_content(archive, members.iloc[row]), members.iloc[row], LONGEST_SIDE))
                except IngestError as error:
                    (damaged if error.problems[0].code == "IMAGE_DAMAGED" else refused)[row] = True
                    reasons[row] = f"{members.iloc[row]}: {error.problems[0].found}"
                    continue
                # Named by content: a name from outside never becomes a path.
                paths[row] = f"media/street_views/{hashlib.sha256(data).hexdigest()[:32]}.jpg"
                media[paths[row]] = data
        ledger.drop("IMAGE_DAMAGED", keep, damaged, values=reasons)
        ledger.drop("IMAGE_REFUSED", keep, refused, values=reasons)
        return paths, media

    def _report_unplaced(self, file: SniffedFile, members: pd.Series, context: ReadContext, ledger: Ledger) -> None:
        if context.limit_rows is not None:
            return
        unplaced = sorted(set(_images(file.entries)) - set(members))
        if unplaced:
            sentence = f"{len(unplaced):,} images, such as {quoted(unplaced[0])}, are in no row of the table and were left out."
            ledger.repair(sentence)
            ledger.warn("IMAGE_WITHOUT_ROW", sentence, "Add rows with their coordinates.", rows=len(unplaced))


def _images(entries: tuple[str, ...]) -> list[str]:
    return [name for name in entries if _IMAGE_NAME.search(name)]


def _tables(entries: tuple[str, ...]) -> list[str]:
    return sorted(name for name in entries if _TABLE_NAME.search(name) and not _IMAGE_NAME.search(name))


def _normal(name: str) -> str:
    """A name as it is compared: forward slashes, no ending of an image, lower case."""
    return _IMAGE_NAME.sub("", name.replace("\\", "/").strip().removeprefix("./")).lower()


def _by_name(images: list[str]) -> dict[str, str]:
    """Full name and, where no two images share it, bare name to member."""
    short = Counter(PurePosixPath(_normal(name)).name for name in images)
    known = {PurePosixPath(_normal(name)).name: name for name in images if short[PurePosixPath(_normal(name)).name] == 1}
    return known | {_normal(name): name for name in images}


def _content(archive: zipfile.ZipFile, member: str) -> bytes:
    if archive.getinfo(member).file_size > _MOST_IMAGE_BYTES:
        raise IngestError(
            [Problem("IMAGE_TOO_LARGE", f"The file has more than {_MOST_IMAGE_BYTES >> 20} MB.", "Shrink it.", member)]
        )
    try:
        with archive.open(member) as opened:
            return opened.read(_MOST_IMAGE_BYTES)
    except Exception as error:  # zipfile reports damage in many classes
        raise IngestError(
            [Problem("IMAGE_DAMAGED", f"It cannot be unpacked: {str(error)[:80]}.", "Pack it again.", member)]
        ) from None


def _positions(
    frame: pd.DataFrame, mapping: dict[str, str], table: SniffedFile, keep: npt.NDArray[np.bool_], ledger: Ledger
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    decimal = table.text.decimal if table.text else "."
    axes = []
    for field, limit in (("longitude", 180.0), ("latitude", 90.0)):
        column = mapping[field]
        numbers, missing, bad = numbers_of(frame[column], decimal)
        texts = list(frame[column])
        ledger.drop("COORDINATES_UNREADABLE", keep, bad, column=column, values=texts)
        ledger.drop("COORDINATES_MISSING", keep, missing, column=column, values=texts)
        ledger.drop("COORDINATES_RANGE", keep, np.abs(numbers) > limit, column=column, values=texts)
        axes.append(numbers)
    ledger.drop("NULL_ISLAND", keep, (axes[0] == 0) & (axes[1] == 0), column=mapping["latitude"])
    return axes[0], axes[1]


def _headings(frame: pd.DataFrame, mapping: dict[str, str], table: SniffedFile) -> npt.NDArray[np.float64]:
    """Degrees 0 to 360, NaN where unknown."""
    if "heading" not in mapping:
        return np.full(len(frame), np.nan)
    numbers, _, _ = numbers_of(frame[mapping["heading"]], table.text.decimal if table.text else ".")
    return np.where(np.isfinite(numbers), np.mod(numbers, 360.0), np.nan)
