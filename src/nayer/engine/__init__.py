"""What long work needs to run, stop and resume: devices, processes, compilation, signals, state, progress."""
