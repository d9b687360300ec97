"""The loop between agents and environments, and the Step that it yields.

One generator serves every agent and every environment: act, step, update, observe. Training,
metrics and recording are its consumers. This package may import `envs`, and nothing above it.
"""
