"""Watching a policy and playing oneself, in a terminal or a window.

Shows the frames that `recording` yields; a person at the keyboard is a policy like any other. This
package may import `recording` and what lies below it.
"""
