"""What is kept in MongoDB: one noun a file, each with its shape and every query on it."""
