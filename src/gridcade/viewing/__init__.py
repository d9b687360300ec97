"""Shows the episodes of a policy, and lets a human play, in a terminal or a window.

This package shows the frames that `recording` yields. A human at the keyboard is a policy like any
other. The package may import `recording` and the packages below it.
"""
