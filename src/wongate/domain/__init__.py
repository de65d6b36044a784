"""The rules. Standard library only: time, chance and money moves come in as arguments, and nothing here does IO."""
