"""The live page: shows in a browser how agents learn and play, and the runs of a directory.

`server` answers the browser, and runs each session in a process of its own. In a session of
`world`, an agent learns in a gridworld beside the exact optimum. In a session of `arcade`, a
trained agent plays. `runs` reads run folders. The pages themselves are in `static/`. This package
may import `study` and the packages below it.
"""
