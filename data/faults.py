"""Errors, named by what the caller does next."""


class Fault(Exception):
    """The root of what the outside world does to us."""


class Transient(Fault):
    """It had no effect; try again."""


class Refused(Fault):
    """The other side said no; do not try again."""


class Corrupt(Fault):
    """What must always hold does not; stop, and have a person look."""


class Malformed(Fault):
    """One item is not what it claims to be; leave it out, count it, and say where it stood."""
