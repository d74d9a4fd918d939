"""Images from a teacher alone: the contract of a method, the methods, what they share, and the memory of images."""
