"""The trainer's sub-commands: each module declares its options and runs."""
