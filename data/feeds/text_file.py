"""Text files as they are downloaded: plain, packed with gzip, or inside a zip archive.

A file in an archive has the archive's path before its own: `Kraken_OHLCVT.zip/XBTUSDT_1.csv`.
"""

import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TextIO

from data.faults import Malformed

_GZIP_MAGIC = b"\x1f\x8b"
_BUFFER = 1 << 17  # bytes of text unpacked at once


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """The lines of a text file; bytes that are no text come as U+FFFD, in no number.

    Raises:
        Malformed: it claims to be packed and is not, or the packing is damaged.
        OSError: it cannot be opened.
    """
    with _open_bytes(path) as file:
        packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        file.seek(0)
        if path.suffix == ".gz" and not packed:
            raise Malformed(f"{path}: not gzip, though named so; rename or download it again")
        source = io.BufferedReader(gzip.GzipFile(fileobj=file), _BUFFER) if packed else file
        try:
            with io.TextIOWrapper(source, encoding="utf-8-sig", errors="replace") as lines:
                yield lines
        except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
            kind = "gzip" if packed else "zip"
            raise Malformed(f"{path}: damaged {kind} ({error}); download it again") from error


def members(archive: Path) -> list[Path]:
    """The files in a zip archive, by path.

    Raises:
        Malformed: it is none.
        OSError: it cannot be opened.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [info.filename for info in opened.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise Malformed(f"{archive}: damaged zip ({error}); download it again") from error
    return [archive / name for name in sorted(names)]


def fingerprint(path: Path) -> str:
    """Which text this is: SHA-256 of a file's bytes, or an archive's checksum and size of one."""
    archive, name = _split(path)
    if name is None:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    with zipfile.ZipFile(archive) as opened:
        info = opened.getinfo(name)
        return f"crc32-{info.CRC:08x}-{info.file_size}"


def count_lines(path: Path) -> int:
    """How many lines a file has, the last one only if it is ended; errors as of `open_text`."""
    with open_text(path) as lines:
        blocks = iter(lambda: lines.buffer.read(_BUFFER), b"")
        return sum(block.count(b"\n") for block in blocks)


@contextmanager
def _open_bytes(path: Path) -> Iterator[IO[bytes]]:
    archive, name = _split(path)
    if name is None:
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(archive) as opened, opened.open(name) as member:
        yield member


def _split(path: Path) -> tuple[Path, str | None]:
    """An archive and a name in it; a file that is its own has no name."""
    for archive in path.parents:
        if archive.suffix == ".zip" and archive.is_file():
            return archive, path.relative_to(archive).as_posix()
    return path, None
