"""Real servers, probes and doubles for the tests."""
