"""Pages about locations: one module for each subject."""
