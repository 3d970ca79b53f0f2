"""`make bench`: what modelops costs beside the bare engine, as ratios in one run."""
