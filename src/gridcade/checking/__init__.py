"""Checks of an environment before agents learn in it: what it does, and what should be changed.

Gymnasium's checker, stable-baselines3's and ours give findings, which become one page. This package
prints nothing; it may import `training` and the packages below it.
"""
