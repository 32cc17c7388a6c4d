"""Reading a vault back: into a folder that nothing can leave, or file by file, from any of its copies."""
