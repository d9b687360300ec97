"""The live page: a browser shows agents learn and play, and the runs of a directory.

`server` answers the browser, and runs each session in a process of its own: `world` lets an agent
learn in a gridworld beside the exact optimum, `arcade` lets a trained agent play, and `runs` reads
run folders. The pages themselves are in `static/`. This package may import `study` and what lies
below it.
"""
