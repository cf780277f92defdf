"""Pictures to thumbnails, in this process; knows nothing of queues or stores."""
