"""What comes over the control socket of gunicorn's master: a front worker joins the warden.

Every front worker inherits an end of this socket, and one that was taken over may say what it likes here.
"""

# No ``from __future__ import annotations``: the table reads the annotations.

from supervisor.link_records import Pid
from worker.message_fields import Record
from worker.message_table import DO, MessageTable, TableRow

TO_WARDEN = DO


class Join(Record):
    """A front worker is here; its end of a link comes with it."""

    pid: Pid


CONTROL = MessageTable(TableRow(TO_WARDEN, "join", Join, descriptors=1))
