"""Exact answers on worlds whose model is known.

The solver finds optimal policies and the exact value of any policy by sparse linear algebra.
`values` asks a policy for its action probabilities in every state and evaluates them. This package
may import `envs`, `experience` and `agents`.
"""
