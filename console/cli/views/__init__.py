"""What people and programs see: documents, and views for the terminal."""
