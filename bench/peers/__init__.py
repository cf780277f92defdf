"""What the product is measured against: small programs as other teams write them, run side by side with it."""
