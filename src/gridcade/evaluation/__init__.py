"""How good a policy is, and how sure one can be of that.

Policies play whole episodes whose seeds are fixed in advance; every estimate has an interval, and
the exact value stands beside it where one exists. Trained agents, random and optimal policies,
models of stable-baselines3 and people are all measured by this code. This package may import
`exact` and what lies below it.
"""
