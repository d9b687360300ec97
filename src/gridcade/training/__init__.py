"""One training run: its config, its run folder, and the loop over epochs.

A config is resolved once, from a preset, a file and options. An epoch ends with metrics and a
checkpoint, so that a run that was killed and resumed ends with the same bits. This package may
import `evaluation` and the packages below it.
"""
