"""Play a Salesforce organization on loopback: rows, blobs, sessions, and faults on demand.

It answers what the fetch worker asks of the real one, in the real one's shapes, and runs as a process of
its own (`python -m sandbox.salesforce`), so that it can be killed and restarted like everything else.
"""
