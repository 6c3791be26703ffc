"""embedjwt."""
