"""Readers and followers of logs: one thread reads for all followers, within bounds for each.

Not here: how a segment is read (``supervisor.logs.reading``), and the routes (``front.api.routes``).

Reading order: ``subscriptions`` (who follows, and what each has not taken), ``follower_thread`` (reads each
function's log once), ``log_pages`` (reads what is there, a page at a time), ``log_formats`` (NDJSON and
Server-Sent Events), ``answer_tail`` (a call's own log beside its answer).
"""
