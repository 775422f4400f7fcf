"""Audits: did the model learn the disease, or the source of the images?"""
