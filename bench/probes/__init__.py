"""What is measured: each module is a process that does one piece of work and prints one JSON line.

They stand where a user of the packages stands, and look inside only by wrapping a public function.
"""
