import pytest

from agents.llm.outside_text import plain, without_secret

SECRET = "sk-live-9f8e7d6c5b4a"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("up and away", "up and away", id="as it is"),
        pytest.param("one\r\ntwo\tthree", "one two three", id="one line"),
        pytest.param("\x1b[31mred\x1b[0m", "[31mred [0m", id="no terminal codes"),
        pytest.param("buy\u202eton\u200b", "buy ton", id="no invisible or turning characters"),
        pytest.param("x" * 99, "x" * 20, id="bounded"),
        pytest.param("Größe 大きさ", "Größe 大きさ", id="beyond ASCII"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_text_from_outside_is_one_plain_line(text, shown):
    assert plain(text, 20) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(f"key {SECRET}!", "key <REDACTED>!", id="whole"),
        pytest.param("key sk-live-9f***", "key <REDACTED>***", id="start"),
        pytest.param("key ***5b4a", "key ***<REDACTED>", id="end"),
        pytest.param("d6c5 and 9f8e", "<REDACTED> and <REDACTED>", id="two parts"),
        pytest.param("nothing of it", "nothing of it", id="none"),
        pytest.param("sk- alone", "sk- alone", id="three characters say nothing"),
        pytest.param("", "", id="empty"),
    ],
)
def test_any_part_of_a_secret_is_masked(text, shown):
    assert without_secret(text, SECRET) == shown


@pytest.mark.parametrize(
    ("secret", "shown"),
    [pytest.param("", "abc", id="none"), pytest.param("b", "a<REDACTED>c", id="b")],
)
def test_a_short_secret_is_masked_as_a_whole(secret, shown):
    assert without_secret("abc", secret) == shown
