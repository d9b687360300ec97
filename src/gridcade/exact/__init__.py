"""Exact results for environments whose model is known.

`solver` computes optimal policies and the exact value of any policy, by sparse linear algebra.
`values` reads a policy's action probabilities in every state and evaluates them. `model_check`
compares a declared model with what its environment does. This package may
import `envs`, `experience` and `agents`.
"""
