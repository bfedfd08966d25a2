"""Looking at an upload before reading it: kind of file, encoding, delimiter, decimal mark, header. Never the extension."""

import codecs
import csv
import hashlib
import io
import re
import uuid
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from charset_normalizer import from_bytes

from engine.city.readers import archives
from engine.city.readers.archives import LIMITS
from engine.city.readers.base import FileKind, SniffedFile, TextSniff
from engine.errors import IngestError, Problem

HEAD_BYTES = 1 << 16
SAMPLE_BYTES = 1 << 18
SAMPLE_ROWS = 200
DELIMITERS = ("\t", ";", "|", ",")

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"))
_BOMS16 = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_MAGIC: tuple[tuple[bytes, FileKind], ...] = (
    (b"PAR1", "parquet"), (b"SQLite format 3\x00", "sqlite"), (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"),
    (b"II*\x00", "tiff"), (b"MM\x00*", "tiff"), (b"II+\x00", "tiff"), (b"MM\x00+", "tiff"), (b"\xff\xd8\xff", "image"),
    (b"\x89PNG\r\n\x1a\n", "image"), (b"GIF8", "image"),
)  # fmt: skip
_FOREIGN = (
    (archives.BZIP, "a bzip2 archive"), (archives.XZ, "an xz archive"), (archives.ZSTD, "a zstd archive"),
    (archives.SEVEN, "a 7z archive"), (archives.RAR, "a RAR archive"), (b"%PDF", "a PDF"), (b"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
    (b"\x00\x00\x27\x0a", "one part of a Shapefile; zip all its parts (.shp, .shx, .dbf, .prj)"), (b"\x80\x04\x95", "a Python pickle"),
    (b"\x80\x05\x95", "a Python pickle"), (b"\x7fELF", "a program"), (b"MZ", "a program"), (b"\x89HDF", "an HDF5 file"),
)  # fmt: skip
NUMBER = re.compile(r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?$")
_DATED = re.compile(r"^\d{4}-\d{2}-\d{2}|^\d{1,4}[/.]\d{1,2}[/.]\d{1,4}|^[A-Z][a-z]{2} [A-Z][a-z]{2} \d{2} ")
_DECIMAL_COMMA = re.compile(r"^[+-]?\d{1,3},\d+$")
_ENCODINGS = [
    "cp1252", "cp932", "euc_jp", "gb18030", "big5", "euc_kr", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256",
]  # fmt: skip


def sniff(path: Path, name: str, folder: Path, encoding: str | None = None) -> SniffedFile:
    """Looks at one file; gzip is inflated into `folder` first.

    Args:
        path: The file.
        name: What the analyst calls it.
        folder: For temporary files.
        encoding: Chosen by the analyst; None lets the bytes decide.

    Raises:
        IngestError: If it is empty, no format we read, or an archive that fails its guards.
    """
    size = path.stat().st_size
    if not size:
        raise IngestError([Problem("EMPTY", "The file is empty.", "Choose another one.", name)])
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if head.startswith(archives.GZIP):
        inflated = folder / f"{uuid.uuid4().hex}.content"
        archives.inflate_gzip(path, name, inflated)
        if not inflated.stat().st_size:
            raise IngestError([Problem("EMPTY", "The gzip file holds nothing.", "Choose another one.", name)])
        path, size = inflated, inflated.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    kind = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        kind = "image"
    file_seen = SniffedFile(path, name, kind or "unknown", size, digest, head)
    if kind == "parquet":
        return _sniff_parquet(file_seen)
    if kind == "zip":
        members = archives.safe_members(path, name)
        entries = tuple(member.filename for member in members)
        if "[Content_Types].xml" in entries:
            raise IngestError([Problem("FORMAT", "This is an Office file.", "Save the sheet as CSV (UTF-8) and bring that.", name)])
        return replace(file_seen, entries=entries)
    if kind is not None:
        return file_seen
    for magic, meaning in _FOREIGN:
        if head.startswith(magic):
            raise IngestError(
                [Problem("FORMAT", f"This is {meaning}.", "Bring CSV, Parquet, GeoJSON, GeoPackage, GeoTIFF, gzip or zip.", name)]
            )
    return _sniff_text(file_seen, folder, encoding)


def members(file: SniffedFile) -> list[tuple[str, zipfile.ZipInfo]]:
    """The members of a zip with the names they go by, `archive/member`, after all guards."""
    return [(f"{file.name}/{member.filename[-80:]}", member) for member in archives.safe_members(file.path, file.name)]


def unpack(file: SniffedFile, member: zipfile.ZipInfo, name: str, folder: Path, encoding: str | None = None) -> SniffedFile:
    """One member of a zip, written into `folder` and looked at as a file of its own; see `sniff`.

    Raises:
        IngestError: If it cannot be unpacked within the limits, is empty or no format we read.
    """
    target = folder / f"{uuid.uuid4().hex}.member"
    with zipfile.ZipFile(file.path) as archive:
        archives.extract_member(archive, member, name, target)
    return sniff(target, name, folder, encoding)


def _sniff_parquet(file: SniffedFile) -> SniffedFile:
    try:
        schema = pq.ParquetFile(file.path).schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        raise IngestError(
            [Problem("DAMAGED_PARQUET", f"The Parquet file cannot be opened ({error}).", "Write it again.", file.name)]
        ) from None
    _check_columns(tuple(schema.names), file.name)
    return replace(file, columns=tuple(schema.names))


def _sniff_text(file: SniffedFile, folder: Path, chosen: str | None) -> SniffedFile:
    encoding, certain, problems = _encoding(file, chosen)
    path = file.path
    nuls = 0
    if encoding != "utf-8":
        path, nuls = _to_utf8(file, folder, encoding)
    elif b"\x00" in file.head or _holds(path, b"\x00"):
        path, nuls = _to_utf8(file, folder, "utf-8")
    if nuls:
        problems.append(Problem("NUL", f"{nuls:,} NUL bytes were removed.", "", file.name, rows=nuls, fatal=False))
    with path.open("rb") as content:
        raw = content.read(SAMPLE_BYTES)
        whole = not content.read(1)
    sample = codecs.getincrementaldecoder("utf-8")().decode(raw).removeprefix("\ufeff")
    seen = replace(file, path=path, kind="text", size=path.stat().st_size, head=raw[:HEAD_BYTES], problems=tuple(problems))
    plain = sample.lstrip()
    if not plain:
        raise IngestError([Problem("EMPTY", "The file holds only blanks.", "Choose another one.", file.name)])
    if plain[0] in "{[<":
        return replace(seen, text=TextSniff(encoding, certain, ",", ".", False, False, (), ()))
    if not whole:
        if "\n" not in sample and "\r" not in sample:
            raise IngestError(
                [
                    Problem(
                        "CELL_SIZE",
                        f"The first line is longer than {SAMPLE_BYTES:,} characters.",
                        "Is this a table of lines?",
                        file.name,
                    )
                ]
            )
        sample = sample[: max(sample.rfind("\n"), sample.rfind("\r"))]
    _refuse_binary(sample, file.name)
    text = sniff_table(sample, encoding, certain)
    if not whole and not text.quoted:
        # Names with a delimiter in them may come late; unquoted, their rows would fall apart.
        text = replace(text, quoted=_holds(path, *(mark + b'"' for mark in (text.delimiter.encode(), b"\n", b"\r"))))
    if text.header:
        _check_columns(text.columns, file.name)
    return replace(seen, text=text, columns=text.columns)


def sniff_table(sample: str, encoding: str = "utf-8", certain: bool = True) -> TextSniff:
    """Delimiter, decimal mark, quoting and header of delimited text, from its first lines."""
    lines = [line for line in sample.splitlines()[: 3 * SAMPLE_ROWS] if line.strip()]
    best: tuple[tuple[float, ...], str] = ((-1.0,), ",")
    for delimiter in DELIMITERS:
        counts = Counter(len(row) for row in _parse("\n".join(lines), delimiter))
        if not counts:
            continue
        width, usual = max(counts.items(), key=lambda item: (item[1], item[0]))
        in_first = len(next(iter(_parse(lines[0], delimiter)), ()))
        score = (float(width > 1), usual / sum(counts.values()) + (in_first == width), float(delimiter != ","), float(width))
        best = max(best, (score, delimiter))
    delimiter = best[1]
    parsed = [tuple(field.strip() for field in row) for row in _parse(sample, delimiter)][: SAMPLE_ROWS + 1]
    first, below = parsed[0], parsed[1:]
    header = _is_header(first, below)
    columns = tuple((name if header else "") or f"column {index + 1}" for index, name in enumerate(first))
    data = tuple(below if header else parsed[:SAMPLE_ROWS])
    decimal = "."
    if delimiter != ",":
        commas = sum(1 for row in data for value in row if _DECIMAL_COMMA.match(value))
        points = sum(1 for row in data for value in row if re.match(r"^[+-]?\d+\.\d+$", value))
        decimal = "," if commas > points else "."
    quoted = bool(re.search(rf'(^|[\r\n{re.escape(delimiter)}])"', sample))
    return TextSniff(encoding, certain, delimiter, decimal, quoted, header, columns, data)


def _parse(text: str, delimiter: str) -> list[list[str]]:
    try:
        return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    except csv.Error:
        return [line.split(delimiter) for line in text.splitlines() if line]


def _is_header(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    if any(_DATED.match(value) or re.match(r"^[+-]?\d+[.,]\d+$", value) for value in first):
        return False
    if not below:
        return not any(NUMBER.match(value) for value in first)
    counted = [int(value) for value in first if re.fullmatch(r"\d{1,4}", value)]
    if 3 <= len(counted) < len(first) and all(after == before + 1 for before, after in pairwise(counted)):
        return True  # hours or days count up as names of columns
    votes = 0
    for index, name in enumerate(first):
        values = [row[index] for row in below if index < len(row) and row[index]]
        if not values:
            continue
        typed = sum(1 for value in values if NUMBER.match(value) or _DATED.match(value)) / len(values)
        is_number = bool(NUMBER.match(name))
        votes += 1 if typed > 0.8 and not is_number and name else 0
        votes -= 1 if typed > 0.8 and is_number else 0
    if votes:
        return votes > 0
    return len(set(first)) == len(first) and not any(NUMBER.match(value) for value in first)


def _check_columns(columns: Sequence[str], name: str) -> None:
    problems = []
    if len(columns) > LIMITS.columns:
        problems.append(
            Problem("COLUMNS", f"The table has {len(columns):,} columns.", f"At most {LIMITS.columns:,} are read.", name)
        )
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        listed = ", ".join(f"`{column[:40]}`" for column in twice[:5])
        problems.append(
            Problem("DUPLICATE_COLUMN", f"Column names stand twice: {listed}.", "Rename one of each.", name, column=twice[0][:80])
        )
    if problems:
        raise IngestError(problems)


def _encoding(file: SniffedFile, chosen: str | None) -> tuple[str, bool, list[Problem]]:
    if chosen:
        try:
            return codecs.lookup(chosen).name, True, []
        except LookupError:
            raise IngestError(
                [Problem("ENCODING", f"There is no encoding {chosen!r}.", "Use a name such as utf-8 or latin-1.", file.name)]
            ) from None
    for mark, name in (*_BOMS, *_BOMS16):
        if file.head.startswith(mark):
            return name, True, []
    even, odd = file.head[0::2].count(0), file.head[1::2].count(0)
    if max(even, odd) > 0.4 * len(file.head) / 2 and min(even, odd) < 0.02 * len(file.head):
        return ("utf-16-le" if odd > even else "utf-16-be"), True, []
    sample = _undecodable(file.path)
    if sample is None:
        return "utf-8", True, []
    return _guess_encoding(sample, file.name)


def _refuse_binary(sample: str, name: str) -> None:
    """A table is made of printable characters; what is not was never text."""
    control = sum(1 for letter in sample[:20_000] if ord(letter) < 32 and letter not in "\t\r\n\f\x00")
    if control > 0.02 * min(len(sample), 20_000):
        found = "The file is neither text nor a format known here."
        raise IngestError([Problem("FORMAT", found, "Bring CSV, Parquet, GeoJSON, GeoPackage, GeoTIFF, gzip or zip.", name)])


def _guess_encoding(sample: bytes, name: str) -> tuple[str, bool, list[Problem]]:
    _refuse_binary(sample[:20_000].decode("latin-1"), name)
    western = sample.decode("cp1252", errors="replace")
    strange = [index for index, letter in enumerate(western) if ord(letter) > 127]
    letters = sum(
        1
        for index in strange
        if "À" <= western[index] <= "ÿ" and western[index] not in "×÷" and _beside_plain_letters(western, index)
    )
    if letters >= 0.9 * len(strange):
        best = "cp1252"
    elif eastern := _eastern_encoding(sample):
        best = eastern
    else:
        match = from_bytes(sample, cp_isolation=_ENCODINGS).best()
        if match is None or match.chaos > 0.2:
            raise IngestError(
                [
                    Problem(
                        "ENCODING",
                        "The file is not UTF-8, and its encoding cannot be told from its bytes.",
                        "Choose the encoding (option `encoding`), or save the file as UTF-8.",
                        name,
                    )
                ]
            )
        best = match.encoding
    line = next((part for part in sample.split(b"\n") if any(byte > 127 for byte in part)), b"")
    shown = line.decode(best, errors="replace").strip()[:60]
    found = f"The file is not UTF-8; it was read as {best}, so that a line says {shown!r}."
    return best, False, [Problem("ENCODING_GUESSED", found, "If that looks wrong, choose the encoding.", name, fatal=False)]


def _eastern_encoding(sample: bytes) -> str | None:
    """Japanese and Korean encodings by their letters: a wrong one of them decodes to no kana and no hangul."""
    for name, low, high, least in (("cp932", "ぁ", "ヿ", 0.1), ("euc_jp", "ぁ", "ヿ", 0.1), ("euc_kr", "가", "힣", 0.5)):
        try:
            letters = [letter for letter in sample.decode(name) if ord(letter) > 127]
        except UnicodeDecodeError:
            continue
        own = sum(1 for letter in letters if low <= letter <= high)
        known = own + sum(1 for letter in letters if "一" <= letter <= "鿿" or "\u3000" <= letter <= "〿" or "！" <= letter <= "～")
        if letters and own >= least * len(letters) and known >= 0.95 * len(letters):
            return name
    return None


def _beside_plain_letters(text: str, index: int) -> bool:
    before, after = text[index - 1 : index], text[index + 1 : index + 2]
    joined = before + after
    return any(letter.isascii() and letter.isalpha() for letter in joined) and all(
        letter.isascii() or "À" <= letter <= "ÿ" for letter in joined
    )


def _undecodable(path: Path) -> bytes | None:
    """None if the whole file is UTF-8; else its lines with bytes outside ASCII, up to 256 KiB, the undecodable ones included."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        while chunk := file.read(8 << 20):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                break
        else:
            try:
                decoder.decode(b"", final=True)
                return None
            except UnicodeDecodeError:
                pass
    lines, taken = [], 0
    with path.open("rb") as file:
        while (line := file.readline(1 << 20)) and taken < SAMPLE_BYTES:
            if not line.isascii():
                lines.append(line)
                taken += len(line)
    return b"".join(lines)


def _holds(path: Path, *marks: bytes) -> bool:
    """Whether any of some short byte strings stands anywhere in a file."""
    end, longest = b"", max(map(len, marks))
    with path.open("rb") as file:
        while chunk := file.read(8 << 20):
            if any(mark in end + chunk for mark in marks):
                return True
            end = chunk[len(chunk) - longest + 1 :]
    return False


def _to_utf8(file: SniffedFile, folder: Path, encoding: str) -> tuple[Path, int]:
    """A copy in UTF-8 without byte order mark and NUL; and how many NULs were removed."""
    target = folder / f"{uuid.uuid4().hex}.utf8"
    nuls = 0
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with file.path.open("rb") as source, target.open("wb") as sink:
            while chunk := source.read(4 << 20):
                text = decoder.decode(chunk)
                nuls += text.count("\x00")
                sink.write(text.replace("\x00", "").encode("utf-8", errors="replace"))
            sink.write(decoder.decode(b"", final=True).encode("utf-8", errors="replace"))
    except UnicodeDecodeError as error:
        raise IngestError(
            [
                Problem(
                    "ENCODING",
                    f"The file is not {encoding}: {error.reason} at byte {error.start:,} of a block.",
                    "Choose another encoding (option `encoding`), or save the file as UTF-8.",
                    file.name,
                )
            ]
        ) from None
    return target, nuls
