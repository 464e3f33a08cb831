"""The command `minillm`, one file a subcommand: parse, call, print."""
