"""Clock, rate, scheduler, safety, modes and the loop that joins them. Read ``loop.py`` first."""
