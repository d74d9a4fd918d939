"""Building blocks of the synthesis methods: losses, generator, noisy layer, statistics and base classes."""
