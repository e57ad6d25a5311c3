"""A laptop-sized AWS organisation: one process, one endpoint, unmodified boto3 as the client.

A development extra (`seedbed[sandbox]`); the publishing path never imports it.
"""
