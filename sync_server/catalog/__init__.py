"""What is sold: products, their prices per venue, fees and stock."""
