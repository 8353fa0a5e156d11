"""Frozen records, protocols, the policy contract and the error tree. Imports numpy and msgspec only."""
