"""The job API: what takes longer than a request is asked for, looked after and fetched here."""
