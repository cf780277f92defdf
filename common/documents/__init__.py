"""What is kept in MongoDB, one noun a file: its shape, its states, and every query on it."""
