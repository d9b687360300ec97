"""The live page: a browser shows an agent learn in a gridworld, beside the exact optimum.

`server` answers the browser, `lane_process` runs each learner in a process of its own, `lane` is
that learner in its world, and `messages` are the texts between page and server. `arcade_process`,
`arcade` and `arcade_messages` are the same for a trained agent that plays. The page itself is in
`static/`. This package may import `training`, `recording` and what lies below them.
"""
