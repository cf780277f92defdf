"""The doorbell between the door and the workers: jobs, the broker, and how deep the queues are."""
