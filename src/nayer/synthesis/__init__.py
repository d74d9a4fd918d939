"""Data-free image synthesis from a teacher: the method contract, the methods, their shared parts and the memory."""
