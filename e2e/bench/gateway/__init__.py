"""`make bench-gateway`: what the gateway costs beside bare Envoy and beside other gateways."""
