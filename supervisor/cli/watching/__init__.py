"""``cellblock top``: what a running server's functions do, look after look.

Not here: what an instance is (``cli.commands.activity_commands`` lists them).

Reading order: ``top_command`` (the loop), ``rates`` (figures from two looks), ``top_view`` (figures as
lines), ``terminal_screen`` (the terminal and its keys).
"""
