"""Stories on a real cluster, and the local cluster they run on."""
