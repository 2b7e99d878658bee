"""Text that others wrote, made fit for a record: one line, of bounded length, without our keys."""

_REDACTED = "<REDACTED>"
_WINDOW = 4  # shared characters from which on a text is taken to quote the key, or a part of it


def plain(text: str, limit: int) -> str:
    """`text` on one line and at most `limit` characters long, without control characters."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:limit]


def without_secret(text: str, secret: str) -> str:
    """`text` with every run of four or more characters that also stands in `secret` masked.

    Vendors quote the start and the end of a key that they refuse; a part of a key is masked like
    the whole.
    """
    if len(secret) < _WINDOW:
        return text.replace(secret, _REDACTED) if secret else text
    shown: list[str] = []
    position = 0
    while position < len(text):
        shared = _shared(text, position, secret)
        shown.append(_REDACTED if shared else text[position])
        position += shared or 1
    return "".join(shown)


def _shared(text: str, start: int, secret: str) -> int:
    """How many characters from `start` on stand in `secret`; 0 for fewer than the window."""
    end = start + _WINDOW
    if end > len(text) or text[start:end] not in secret:
        return 0
    while end < len(text) and text[start : end + 1] in secret:
        end += 1
    return end - start
