"""Watching and playing: in a terminal, in a window and as a video file."""
