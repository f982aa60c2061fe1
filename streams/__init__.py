"""How events move: the pure pipeline and the runners around it."""
