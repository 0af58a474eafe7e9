"""Maps of the world: the outline of its land, a projection, and pictures of clients and units."""
