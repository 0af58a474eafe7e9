"""Cards: elements and buttons inside a message, checked, rendered and pressed; pure."""
