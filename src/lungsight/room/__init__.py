"""The reading room: a web application on this machine, where people look at images and record what they see.

It needs the extra ``serve``. Nothing here imports torch or evaluation; what needs more than ``serve`` brings is
imported when it is asked for.
"""
