"""A folder for one run."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def server_folder() -> Iterator[Path]:
    """A new folder, gone afterwards, which a server that root starts as another user can enter."""
    with tempfile.TemporaryDirectory(prefix="sextant-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder
