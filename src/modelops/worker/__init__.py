"""Does jobs: takes them from the queue, has the engine beside it do them, stores what it made."""
