"""What answers for models at zero: it holds their requests, wakes them, and passes requests on."""
