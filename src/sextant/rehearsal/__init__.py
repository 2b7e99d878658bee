"""An exchange on loopback that speaks Kraken's REST and WebSocket v2 over our own matching core.

It owns a made-up or recorded market, one account and its key, and the ways in which a venue can
fail; nothing of it leaves the machine. It promises Kraken's messages, errors and limits as far as
`listing` and `rest` go, and balances that are right to the last digit; given a journal, it says
nothing of the account before it is there. It may import `data` and `execution`, its command also
the journal; nothing that trades imports it, but for what starts it and the facts of its books.
"""
