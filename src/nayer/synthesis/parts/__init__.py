"""What several methods share: losses, generator, noisy layer, statistics."""
