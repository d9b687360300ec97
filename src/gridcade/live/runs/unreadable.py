"""The errors that reading a damaged run folder can raise."""

UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError)
