"""The family of gates: is this upload intimate?"""
