"""What all tests share: where the real data is, and the rows of the requirements they prove."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    """The mark of tests that run in one worker is known without xdist, too."""
    config.addinivalue_line("markers", "xdist_group(name): tests of one group share a worker")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real market data beside the checkout; a clone without it skips, CI fails."""
    if not SHARED_DATA.is_dir():
        reason = f"no market data at {SHARED_DATA}; these tests need the project's shared folder"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return SHARED_DATA


@pytest.fixture
def held_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every made-up market waits for its daemon, however slow the machine."""
    from tests.held_market import hold_markets  # here: tests of risk/ alone run without the daemon

    hold_markets(monkeypatch.setattr)
