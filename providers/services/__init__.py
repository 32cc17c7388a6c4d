"""What can be done with locations and credentials, each in one function."""
