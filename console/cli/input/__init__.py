"""What is given to a command: words of the command line, files, and lines of NDJSON."""
