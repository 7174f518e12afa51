"""What holds for every test."""

from hypothesis import settings

# A busy machine is no failure: no test asserts how long an example takes.
settings.register_profile("batchgen", deadline=None)
settings.load_profile("batchgen")
