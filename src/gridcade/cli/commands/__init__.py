"""The commands, one file each. A command's module is imported only when the command is used."""
