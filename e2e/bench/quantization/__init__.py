"""What each method of quantization saves, costs and loses."""
