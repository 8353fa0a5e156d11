"""The commands: arguments in, an exit code out. Heavy imports wait until the arguments are known to be right."""
