"""Checks an environment before agents learn in it, and says what its author should change.

The findings of Gymnasium's checker, stable-baselines3's and ours become one page. This package
prints nothing; it may import `training` and the packages below it.
"""
