"""The live page: a browser shows an agent learn in a gridworld, beside the exact optimum.

`server` answers the browser, `lane_process` runs each learner in a process of its own, `lane` is
that learner in its world, and `messages` are the texts between page and server; the page itself
is in `static/`. This package may import `training`, `recording` and what lies below them.
"""
