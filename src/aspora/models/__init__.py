"""Model calls: catalogue, prices, holds. Later the whole model gateway; never sees a skill's files."""
