"""What waits at a venue ends by our own clock first, or the settings are refused."""

from pathlib import Path

import pytest

from sextant.settings import PROJECT, load_settings
from sextant.settings_file import BadSettings

RAISE = "or raise"
PASSIVE = "[passive]\nentries = true\ncross_after = {}\n"
KEPT = "[allocation]\nenabled = true\npatience = {}\n"
DEADLINE = '[venue.dead_man]\ndeadline = "PT5M"\nrenew_every = "PT1M"\n'
NO_HOLDINGS = "[allocation]\nenabled = false\npatience = 'PT1H'\n"


def loaded(folder: Path, text: str, base: str = "rehearsal"):
    path = folder / "config.toml"
    path.write_text(f'extends = "{PROJECT / "config" / base}.toml"\n{text}')
    return load_settings(path)


@pytest.mark.parametrize(
    ("text", "base"),
    [
        pytest.param(PASSIVE.format("'PT9M59S'"), "rehearsal", id="shorter than the deadline"),
        pytest.param(PASSIVE.format("'PT1H'"), "paper", id="a venue that ends with us"),
        pytest.param("[passive]\nexits = true\ncross_after = 'PT1H'\n", "rehearsal", id="exits"),
        pytest.param(NO_HOLDINGS, "rehearsal", id="nothing is kept"),
        pytest.param("[passive]\nentries = true\n", "live", id="as shipped for live"),
    ],
)
def test_what_ends_by_our_clock_is_taken(tmp_path, text, base):
    assert loaded(tmp_path, text, base).desk


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            PASSIVE.format("'PT10M'"),
            ["passive.cross_after: 0:10:00", "venue.dead_man.deadline, 0:10:00", RAISE],
            id="as long as the deadline",
        ),
        pytest.param(
            PASSIVE.format("'PT5M'") + DEADLINE + KEPT.format("'PT4M'"),
            ["passive.cross_after: 0:05:00", "venue.dead_man.deadline, 0:05:00", RAISE],
            id="a shorter deadline",
        ),
        pytest.param(
            PASSIVE.format("'PT2M'") + "[venue]\nentries_rest = 'PT2M'\n" + KEPT.format("'PT1M'"),
            ["passive.cross_after: 0:02:00", "venue.entries_rest, 0:02:00", RAISE],
            id="an end that the operator sets",
        ),
        pytest.param(
            KEPT.format("'PT10M'"),
            ["allocation.patience: 0:10:00", "venue.dead_man.deadline, 0:10:00", RAISE],
            id="an order of the allocator",
        ),
    ],
)
def test_what_can_never_come_to_its_time_is_refused(tmp_path, text, said):
    with pytest.raises(BadSettings) as refused:
        loaded(tmp_path, text)
    (line,) = [line for line in str(refused.value).splitlines() if "venue ends what rests" in line]
    assert all(words in line for words in said)
