"""The Arcade page: `process` runs an `arcade`, which is a policy that plays a game."""
