"""The choices: one table an axis, one row a choice. Ids, options and skip reasons derive from the rows.

torch is imported inside the rows' functions only, so that the command line can list every choice at once.
"""
