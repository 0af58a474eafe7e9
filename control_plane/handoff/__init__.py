"""What travels when a client's state is handed from one unit to another: chunks and orders."""
