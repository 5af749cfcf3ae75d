"""What a function prints and logs, on the two log pipes, without any set-up by the author.

Reading order: ``output_capture`` (the streams), ``log_records`` (records of ``logging``).
"""
