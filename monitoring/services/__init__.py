"""What can be done with alerts."""
