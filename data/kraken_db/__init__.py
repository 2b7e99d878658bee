"""Kraken's history and collectors, each a command and a task of the daemon (S0-30 to S0-33).

`gap_filler`, `websocket_writer`, `order_book`, `private_trades`, `csv_importer`: all may be killed
and run again. Only `sextant` and the commands themselves import it.
"""
