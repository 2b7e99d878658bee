"""`python -m sextant` is `sextant`."""

from sextant.cli import main

main()
