"""What lets long work run, stop and go on: device, processes, compilation, signals, state, progress."""
