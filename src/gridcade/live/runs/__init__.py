"""The Runs page: `api` answers requests with tables of the run folders in a `directory`."""
