"""Frames of an episode, and their encoding as video.

A recording is an iterator of frames: the picture, the return so far, and how the episode ended.
Reports and viewers consume it; this package does not depend on a terminal, window or web page. It
may import `evaluation` and the packages below it.
"""
