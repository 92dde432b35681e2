"""Tests of the views in their store: lines, batches, faults of files, rebuilds."""
