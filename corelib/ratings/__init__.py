"""Who is strong and what is hard: ratings from wins and losses, difficulties from right and wrong answers."""

from corelib.ratings.bradley_terry import BradleyTerryModel, fit_bradley_terry
from corelib.ratings.glicko import GlickoRatings, glicko2_period
from corelib.ratings.item_response import ItemResponseModel, fit_item_response

__all__ = [
    "BradleyTerryModel",
    "GlickoRatings",
    "ItemResponseModel",
    "fit_bradley_terry",
    "fit_item_response",
    "glicko2_period",
]
