"""What clients install to find their home: see homeport.client."""
