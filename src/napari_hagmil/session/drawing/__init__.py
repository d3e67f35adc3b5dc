"""What is drawn on a slide, as the window has it in hand; no Qt."""
