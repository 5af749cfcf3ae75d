"""The command line ``cellblock``: a client of the server's REST interface, and the way to start the server.

Reading order: main (the commands and how they end), config (which server), client (talking to it),
arguments and bundle (what the user gave), then a module per group of commands, output (what is printed).
"""
