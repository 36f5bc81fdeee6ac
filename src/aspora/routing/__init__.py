"""From a request to a skill and a revision: by name and by the Route's shares. Pure functions over objects' wire forms.

Reads nothing by itself: whoever calls hands the objects over.
"""
