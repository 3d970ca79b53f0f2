"""Makes pictures: a diffusers pipeline behind Ray Serve."""
