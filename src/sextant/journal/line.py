"""A record as one line of a JSONL file."""

from datetime import datetime

import orjson

from data.faults import Corrupt
from sextant.journal.record import Record, moment

SCHEMA = 1  # of the line; a fact's own shape is named by its topic
_BODY = b',"body":'


class MalformedLine(Corrupt):
    """A line that is no record."""


def line_of(record: Record) -> bytes:
    """The record as JSON with its line end; the body last, byte for byte, so that digests hold."""
    head = (
        f'{{"schema":{SCHEMA},"name":"{record.name}","seq":{record.seq},'
        f'"at":"{moment(record.at)}","topic":"{record.topic}",'
        f'"previous":"{record.previous}","digest":"{record.digest}"'
    )
    return b"%b%b%b}\n" % (head.encode(), _BODY, record.body)


def parse_line(line: bytes) -> Record:
    """The record of a line.

    Raises:
        MalformedLine: it is none.
    """
    head, _, rest = line.partition(_BODY)  # no name, topic or time holds a quotation mark
    try:
        found = orjson.loads(head + b"}")
        return Record(
            name=found["name"],
            seq=found["seq"],
            at=datetime.fromisoformat(found["at"]),
            topic=found["topic"],
            body=rest.removesuffix(b"\n").removesuffix(b"}"),
            previous=found["previous"],
            digest=found["digest"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedLine(f"not a journal's line: {line[:80]!r}: {error}") from error
