"""The rules of this repository that no tool on the shelf knows."""
