"""Behind the queue: carries out what the door wrote down, and the hands of the operator."""
