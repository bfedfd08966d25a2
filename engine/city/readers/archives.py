"""Opening compressed uploads without being blown up: gzip and zip under limits, links and paths out of the archive refused."""

import gzip
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.errors import IngestError, Problem

CHUNK = 1 << 20
GZIP, ZIP, BZIP, XZ, ZSTD, SEVEN, RAR = (
    b"\x1f\x8b",
    b"PK",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"\x28\xb5\x2f\xfd",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!",
)
_ARCHIVES = (GZIP, b"PK\x03\x04", b"PK\x05\x06", BZIP, XZ, ZSTD, SEVEN, RAR)


@dataclass(frozen=True)
class Limits:
    """How much an upload may be.

    Attributes:
        inflated_bytes: All content of one archive together.
        ratio: Inflated to packed size, per member, once it is larger than a few megabytes.
        entries: Members of a zip. Geolife has 18,739.
        columns: Columns of a table.
        line_bytes: One line, and so one cell.
        rows: Visits one city may hold in memory.
    """

    inflated_bytes: int = 2 << 30
    ratio: int = 100
    entries: int = 50_000
    columns: int = 2_000
    line_bytes: int = 8 << 20
    rows: int = 12_000_000


LIMITS = Limits()
_RATIO_FROM = 4 << 20


def inflate_gzip(path: Path, name: str, target: Path, limits: Limits = LIMITS) -> None:
    """Inflates a gzip file to `target`, chunk by chunk, stopping at the limits.

    Raises:
        IngestError: `RATIO`, `TOO_LARGE`, `DAMAGED_ARCHIVE` or `NESTED_ARCHIVE`.
    """
    packed, total = path.stat().st_size, 0
    try:
        with gzip.open(path, "rb") as source, target.open("wb") as sink:
            while chunk := source.read(CHUNK):
                if not total and chunk.startswith(_ARCHIVES):
                    raise IngestError([Problem("NESTED_ARCHIVE", "The gzip file holds another archive.", "Unpack it once.", name)])
                total += len(chunk)
                _guard(total, packed, name, limits)
                sink.write(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise IngestError(
            [Problem("DAMAGED_ARCHIVE", f"The gzip file is damaged or cut off ({error}).", "Pack or download it again.", name)]
        ) from None


def safe_members(path: Path, name: str, limits: Limits = LIMITS) -> list[zipfile.ZipInfo]:
    """The file members of a zip, after all guards; folders and the droppings of macOS are left out.

    Raises:
        IngestError: With every reason: `ZIP_ENTRIES`, `ZIP_SLIP`, `ZIP_LINK`, `ZIP_ENCRYPTED`, `RATIO`, `TOO_LARGE`,
            `NESTED_ARCHIVE`, `DAMAGED_ARCHIVE`.
    """
    problems: list[Problem] = []

    def refuse(code: str, found: str, mend: str) -> None:
        if code not in {problem.code for problem in problems}:
            problems.append(Problem(code, found, mend, name))

    # The count at the end of a zip is read before its directory, which a bomb can make enormous.
    if _declared_entries(path) > limits.entries:
        refuse("ZIP_ENTRIES", f"The zip holds more than {limits.entries:,} files.", "Bring fewer files per archive.")
        raise IngestError(problems)
    try:
        with zipfile.ZipFile(path) as archive:
            members = []
            if len(archive.infolist()) > limits.entries:
                refuse("ZIP_ENTRIES", f"The zip holds more than {limits.entries:,} files.", "Bring fewer files per archive.")
                raise IngestError(problems)
            total = 0
            for member in archive.infolist():
                if member.is_dir() or member.filename.startswith("__MACOSX/") or member.filename.endswith(".DS_Store"):
                    continue
                shown = repr(member.filename[:80])
                if is_outside(member.filename) or is_outside(getattr(member, "orig_filename", "")):
                    refuse(
                        "ZIP_SLIP", f"Member {shown} points outside the archive.", "Pack the files again from inside their folder."
                    )
                    continue
                if stat.S_ISLNK(member.external_attr >> 16):
                    refuse("ZIP_LINK", f"Member {shown} is a link.", "Pack the file itself.")
                    continue
                if member.flag_bits & 0x1:
                    refuse("ZIP_ENCRYPTED", f"Member {shown} is encrypted.", "Pack the files without a password.")
                    continue
                total += member.file_size
                if member.file_size > _RATIO_FROM and member.file_size > limits.ratio * max(member.compress_size, 1):
                    refuse("RATIO", f"Member {shown} inflates more than {limits.ratio} times.", "Pack the real data again.")
                    continue
                members.append(member)
            if total > limits.inflated_bytes:
                refuse(
                    "TOO_LARGE",
                    f"The zip inflates to {total / 1e9:.1f} GB; {limits.inflated_bytes / 1e9:.1f} GB are allowed.",
                    "Split it.",
                )
            if not problems:
                for member in members:
                    with archive.open(member) as content:
                        if content.read(8).startswith(_ARCHIVES):
                            refuse(
                                "NESTED_ARCHIVE",
                                f"Member {member.filename[:80]!r} is an archive itself.",
                                "Pack its files directly.",
                            )
    except IngestError:
        raise
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        OSError,
        EOFError,
        zlib.error,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        refuse("DAMAGED_ARCHIVE", f"The zip is damaged or of an unknown kind ({error}).", "Pack or download it again.")
    if problems:
        raise IngestError(problems)
    return members


def extract_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, target: Path, limits: Limits = LIMITS) -> None:
    """Writes one member to `target`, counting what really comes out, whatever the directory claims.

    Raises:
        IngestError: `RATIO`, `TOO_LARGE` or `DAMAGED_ARCHIVE`.
    """
    total = 0
    try:
        with archive.open(member) as source, target.open("wb") as sink:
            while chunk := source.read(CHUNK):
                total += len(chunk)
                _guard(total, member.compress_size, name, limits)
                sink.write(chunk)
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise IngestError(
            [Problem("DAMAGED_ARCHIVE", f"`{member.filename[:80]}` cannot be unpacked ({error}).", "Pack it again.", name)]
        ) from None


def read_members(path: Path, name: str, suffix: str = "", limits: Limits = LIMITS) -> Iterator[tuple[str, bytes]]:
    """Name and content of the members whose name ends with `suffix`, in order of name; guarded like everything here."""
    members = sorted(safe_members(path, name, limits), key=lambda member: member.filename)
    with zipfile.ZipFile(path) as archive:
        for member in members:
            if member.filename.lower().endswith(suffix):
                with archive.open(member) as source:
                    content = source.read(member.file_size + 1)
                if len(content) != member.file_size:
                    raise IngestError(
                        [Problem("RATIO", f"`{member.filename[:80]}` is not as long as it claims.", "Pack it again.", name)]
                    )
                yield member.filename, content


def is_outside(name: str) -> bool:
    """Whether a member's name would leave the folder it is unpacked into."""
    plain = name.replace("\\", "/")
    return plain.startswith("/") or bool(re.match(r"[A-Za-z]:", plain)) or ".." in PurePosixPath(plain).parts or "\x00" in name


def _guard(total: int, packed: int, name: str, limits: Limits) -> None:
    if total > _RATIO_FROM and total > limits.ratio * max(packed, 1):
        raise IngestError(
            [Problem("RATIO", f"The content inflates more than {limits.ratio} times.", "Pack the real data again.", name)]
        )
    if total > limits.inflated_bytes:
        raise IngestError(
            [Problem("TOO_LARGE", f"The content inflates to more than {limits.inflated_bytes / 1e9:.1f} GB.", "Split it.", name)]
        )


def _declared_entries(path: Path) -> int:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 66_000))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    count = int.from_bytes(tail[end + 10 : end + 12], "little") if end >= 0 else 0
    wide = tail.rfind(b"PK\x06\x06")
    if count == 0xFFFF and wide >= 0:
        count = int.from_bytes(tail[wide + 32 : wide + 40], "little")
    return count
