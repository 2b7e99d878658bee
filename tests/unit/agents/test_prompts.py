from pathlib import Path

import jinja2
import pytest

from agents.prompts import BadPrompt, PromptLibrary

PROMPTS = Path(__file__).resolve().parents[3] / "prompts"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "voters").mkdir()
    (tmp_path / "voters" / "trend.md").write_text("Vote on {{ symbol }}.")
    (tmp_path / "system.md").write_text("Be brief.")
    return tmp_path


def test_a_prompt_is_named_by_its_path(folder):
    library = PromptLibrary(folder)
    assert library.versions.keys() == {"system", "voters/trend"}
    assert library.render("voters/trend", symbol="BTC/USDT") == "Vote on BTC/USDT."


def test_a_version_is_the_hash_of_the_content(folder):
    before = PromptLibrary(folder)
    assert before.version("system") == "213c22ed7234"
    (folder / "system.md").write_text("Be brief!")
    after = PromptLibrary(folder)
    assert after.version("system") != before.version("system")
    assert after.version("voters/trend") == before.version("voters/trend")
    assert after.version("system", "voters/trend") != before.version("system", "voters/trend")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("{{ symbol", "trend.md", id="not closed"),
        pytest.param("{% nonsense %}", "trend.md", id="no such tag"),
    ],
)
def test_a_broken_prompt_is_named_at_start(folder, content, said):
    (folder / "voters" / "trend.md").write_text(content)
    with pytest.raises(BadPrompt, match=said):
        PromptLibrary(folder)


def test_a_prompt_in_another_encoding_is_named_at_start(folder):
    (folder / "system.md").write_bytes("Größe".encode("latin-1"))
    with pytest.raises(BadPrompt, match=r"system\.md"):
        PromptLibrary(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(BadPrompt, match="nowhere"):
        PromptLibrary(tmp_path / "nowhere")


def test_a_missing_prompt_is_named_with_those_that_are_there(folder):
    with pytest.raises(BadPrompt, match=r"voters/value\.md: no such prompt.*voters/trend"):
        PromptLibrary(folder).require("voters/value", ["symbol"])


def test_a_variable_that_nobody_gives_is_named_with_its_file(folder):
    with pytest.raises(BadPrompt, match=r"trend\.md: unknown variable symbol"):
        PromptLibrary(folder).require("voters/trend", ["ticker"])


def test_a_value_that_is_missing_renders_nothing(folder):
    with pytest.raises(jinja2.UndefinedError):
        PromptLibrary(folder).render("voters/trend")


def test_values_are_never_templates(folder):
    text = PromptLibrary(folder).render("voters/trend", symbol="{{ 7 * 7 }}")
    assert text == "Vote on {{ 7 * 7 }}."


def test_a_template_reaches_no_internals(folder):
    (folder / "voters" / "trend.md").write_text("{{ symbol.__class__.__mro__ }}")
    with pytest.raises(jinja2.exceptions.SecurityError):
        PromptLibrary(folder).render("voters/trend", symbol="BTC/USDT")


@pytest.mark.req("S0-13", "S0-17", "S0-18", "S2-9")
def test_the_voters_prompts_are_complete():
    library = PromptLibrary(PROMPTS)
    library.require("voters/system", ["schema"])
    library.require("voters/trend", ["facts", "symbol", "timeframe"])
    system = library.render("voters/system", schema="{}")
    assert "Trade with the trend" in system
    assert "Few good trades beat many" in system
