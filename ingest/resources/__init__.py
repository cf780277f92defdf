"""What the door answers, one noun a file."""
