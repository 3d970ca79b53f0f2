"""A fake of the Hugging Face hub: the part of its API that reading models needs.

The public hub is outside of what tests may reach, so its clients talk to this one, which serves
folders of this machine. Standard library only, so that it also runs in any pod with Python.
"""
