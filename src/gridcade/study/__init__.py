"""Studies: many training runs of several contenders, and statistics over their seeds.

A study is split into tasks, which worker processes train and evaluate on this machine or on a
cluster. The scores of all tasks form a comparison. This package may import `training` and the
packages below it.
"""
