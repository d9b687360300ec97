"""Worlds of Sutton & Barto (2018), "Reinforcement Learning: An Introduction", with their own code.

The book's other worlds are map files in `envs/maps`: CliffWalk, DynaMaze, Grid4x4 and WindyGrid.
"""
