"""Files for other programs that are written when somebody asks for them."""
