"""The loop between agents and environments, and the Step that it yields.

One generator serves every agent and every environment: act, step, observe, update. Training,
metrics and recording consume its steps. This package may import `envs`, and nothing above it.
"""
