"""From a request to a skill and a revision: name, trigger, share. Pure functions over objects."""
