"""The command line: parses arguments, calls the API, and prints the results.

`main.py` finds the command, each file of `commands/` is one command, and `options.py` turns the
API's option types into command-line options. Nothing here computes. This package may import every
other one; no package imports it.
"""
