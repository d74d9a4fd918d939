"""Images from a teacher alone: the loss terms, the noisy layer and the memory of NAYER (arXiv 2310.00258)."""
