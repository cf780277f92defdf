"""The door: takes requests in over HTTP, writes them down and rings for the work."""
