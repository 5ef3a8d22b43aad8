"""Shared by all tests."""


def pytest_configure(config):
    config.addinivalue_line("markers", "mutation: breaks a copy of the library and runs a chapter against it")
