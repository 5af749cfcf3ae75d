"""The catalogue: one list a file, in the numbers of the catalogue that the tests are named after."""
