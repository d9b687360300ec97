"""Frames of an episode, and their encoding as video.

A recording is an iterator of frames: picture, return so far, and how the episode ended. Reports
and viewers consume it; nothing here knows a terminal, a window or a page. This package may import
`evaluation` and what lies below it.
"""
