"""Short films made of the bundled pictures, as the bench makes them."""

from services.bench._films import OTHERS, SCENES, film, scenes, still

__all__ = ["OTHERS", "SCENES", "film", "scenes", "still"]
