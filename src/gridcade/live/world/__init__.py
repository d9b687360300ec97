"""The World page: `process` runs a `lane`, which is a learner in a world that can be edited."""
