"""Dialogs the user asks for; failures never open one."""
