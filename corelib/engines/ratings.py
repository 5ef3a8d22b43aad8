"""Rating periods and answer models: checked arrays in, the compiled kernels behind them."""

from corelib.kernels.ratings import UNANSWERED, glicko, item_response

__all__ = ["UNANSWERED", "glicko", "item_response"]
