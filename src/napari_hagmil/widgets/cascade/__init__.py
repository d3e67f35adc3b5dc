"""The dock that opens a slide, runs the cascade and explains it; a folder per tab."""
