"""Fetch from Salesforce: rows and logins through simple-salesforce, blobs by a streaming GET of our own.

Read `visit` for one attempt from its first call to its last byte, and `verdicts` for what each answer means.
"""
