"""Pictures of a slide with what the cascade made of it."""
