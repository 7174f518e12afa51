"""The remote API: models, request and reply formats, prices, the account."""
