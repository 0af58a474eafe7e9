"""What all SQLite files of Homeport have in common."""
