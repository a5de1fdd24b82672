"""A small local Marathon whose tasks are real processes, for the demonstration and for tests."""
