"""How a service reaches the wire: two transports under one set of servicers."""
