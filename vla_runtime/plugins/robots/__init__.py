"""Robots: the control process's side of an arm."""
