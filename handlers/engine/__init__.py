"""The engine: decides what is asked, journals it, and only then lets it have effects."""
