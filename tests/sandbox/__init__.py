"""Tests of the stand-in Airbyte. A package, so that its modules may be named after what they test."""
