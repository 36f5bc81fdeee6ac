"""One file a verb: `configure(parser)` and `run(args, cli) -> exit code`. Heavy imports stay behind `cli.load`."""
