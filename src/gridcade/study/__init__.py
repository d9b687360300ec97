"""Many runs: contenders on environments, many seeds, and what follows from their scores.

A study is split into tasks, which worker processes on this machine or on a cluster carry out.
Statistics over seeds turn their scores into a comparison. This package may import `training` and
what lies below it.
"""
