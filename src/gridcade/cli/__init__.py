"""The command line: parses words, calls the API, prints the answers.

Each command is a dataclass whose field docstrings are its help. Nothing here computes. This package
may import every other one, and none imports it.
"""
