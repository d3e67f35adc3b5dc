"""What a hand does to annotations: paint, combine, nest, move, find; no Qt."""
