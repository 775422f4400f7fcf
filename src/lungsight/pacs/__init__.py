"""Images from an archive, and results back into it: each exactly once, whatever is stopped or killed meanwhile.

Needs the extra ``hospital``.
"""
