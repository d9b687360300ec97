"""Watching a policy and playing oneself, in a terminal or a window.

This package shows the frames that `recording` yields. A human at the keyboard is a policy like any
other. It may import `recording` and the packages below it.
"""
