"""The weights container: brings a model's files to where the engine reads them."""
