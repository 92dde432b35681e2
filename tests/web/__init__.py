"""Tests of the read API, over loopback."""
