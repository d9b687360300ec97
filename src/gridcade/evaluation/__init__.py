"""Evaluation of policies: estimates of their values, each with an interval.

Every policy plays the same whole episodes, whose seeds are fixed in advance. Where the model is
known, the policy's exact value is reported beside the estimates. The same code evaluates trained
agents, random and optimal policies, models of stable-baselines3, and people. This package may
import `exact` and the packages below it.
"""
