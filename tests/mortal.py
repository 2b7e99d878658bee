"""Lives of a daemon, each of which ends itself by kill -9 at the first moment that no life before
has ended at, unless it may end there again.

Run as a program: it has imported all there is, and forks a life for every line of its input.

A moment is `what kind when nth`: after each record of the daemon's journal, each committed for
itself; before and after each request to the exchange, and each message to its sockets. `nth` counts
the like in one life, up to a cap; or the moments are named.
"""

import json
import os
import signal
import sys
from collections import Counter
from urllib.parse import parse_qs, urlsplit

# Each daemon begins where all of this is in memory already.
import ccxt.pro  # noqa: F401
from ccxt.async_support.base.exchange import Exchange
from ccxt.async_support.base.ws.client import Client

import sextant.daemon
import sextant.promotion
import sextant.rehearsal_apart
import sextant.rehearsal_market  # noqa: F401
from execution.venues import kraken_exchange  # noqa: F401
from sextant import cli
from sextant.journal import postgres
from sextant.journal.postgres import PostgresJournal


class Moments:
    """Counts the moments of a life, and ends it at the first that is new."""

    def __init__(self, *, done, cap, at, kept):
        self._counts = Counter()
        self._done, self._cap, self._at, self._kept = done, cap, at, kept

    def pass_(self, what, kind, when):
        self._counts[what, kind, when] += 1
        nth = self._counts[what, kind, when]
        name = f"{what} {kind} {when} {nth}"
        is_wanted = name in self._at if self._at else nth <= self._cap
        if is_wanted and name not in self._done:
            os.write(self._kept, f"{name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)


def arm(moments):
    """Have this process die at its moment."""
    fetch, send, settle = Exchange.fetch, Client.send, PostgresJournal._settle

    async def fetched(self, url, method="GET", headers=None, body=None):
        kind = asked(url, body)
        moments.pass_("request", kind, "before")
        answer = await fetch(self, url, method, headers, body)
        moments.pass_("request", kind, "after")
        return answer

    async def sent(self, message):
        kind = subscribed(message)
        moments.pass_("message", kind, "before")
        result = await send(self, message)
        moments.pass_("message", kind, "after")
        return result

    def settled(self, durable):
        is_new = bool(self._pending) and self._pending[0].seq <= durable.seq
        settle(self, durable)
        if is_new and durable.name == "desk":
            moments.pass_("record", written(durable), "after")

    postgres._BATCH = 1  # so that each is durable while the next is not
    Exchange.fetch, Client.send, PostgresJournal._settle = fetched, sent, settled


def asked(url, body):
    """The method of a request; of an order also what it is for."""
    method = urlsplit(url).path.rpartition("/")[2]
    if method != "AddOrder":
        return method
    form = json.loads(body) if body.startswith("{") else {k: v for k, [v] in parse_qs(body).items()}
    if str(form.get("validate")).lower() == "true":
        return "AddOrder:trial"
    if form["ordertype"].startswith("stop"):
        return "AddOrder:stop"
    reduces = str(form.get("reduce_only")).lower() == "true"
    return "AddOrder:exit" if reduces else "AddOrder:entry"


def subscribed(message):
    """The method of a message over a socket, and its channel."""
    if not isinstance(message, dict):
        return "frame"
    return f"{message.get('method')}:{message.get('params', {}).get('channel')}"


def written(record):
    """The topic of a record; of an order also what it is for, or what has become of it."""
    body = json.loads(record.body)
    match record.topic:
        case "order_intent":
            return f"order_intent:{body['order']['purpose']}"
        case "order":
            return f"order:{body['order']['status']}"
        case topic:
            return topic


def live(wanted):
    """A daemon, in this process."""
    said = os.open(wanted["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(said, stream.fileno())
    kept = os.open(wanted["points"], os.O_RDWR | os.O_CREAT | os.O_APPEND)
    with open(wanted["points"]) as lines:  # noqa: PTH123 - beside what is written by number
        done = set() if wanted["again"] else set(lines.read().splitlines())
    arm(Moments(done=done, cap=wanted["cap"], at=wanted["at"], kept=kept))
    signal.alarm(wanted["longest"])  # its end where no moment is left
    sys.argv = ["sextant", *wanted["command"]]
    cli.main()


def main():
    """For each line a life; its exit code, or minus the signal that ended it, is the answer."""
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            live(json.loads(line))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
