"""Watching and playing: in a terminal, as a video file, in a window and in the browser."""
