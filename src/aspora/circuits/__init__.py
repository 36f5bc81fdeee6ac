"""Which upstreams of models are left alone now, as all processes see it: who opened, who probes, until when.

Owns the table `model_circuits`. Here belongs what makes one process's finding known to the others; never when a circuit
opens or closes, which `models.breaker` decides.
"""
