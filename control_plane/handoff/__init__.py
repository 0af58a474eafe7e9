"""Handing a client's state from one unit to another: chunks of it, and the orders to do so."""
