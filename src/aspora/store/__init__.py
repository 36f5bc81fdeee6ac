"""The objects and their watch log in PostgreSQL. Only gateway.objects, main and testing may import it."""
