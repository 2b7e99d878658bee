"""Configurations whose positions end at targets, and whose orders rest before they take."""

from tests.builders_daemon import EAGER

# Positions of chance end at a target that is near, or at a stop that is not: nothing moves it.
AIMS = (
    EAGER.replace("[risk]\n", "[risk]\n    min_reward_risk = 0\n", 1).replace(
        "confidence = 0.9\n", "confidence = 0.9\n    reward = 0.4\n"
    )
    + """
    [protection]
    take_profit = true
    break_even_from = 0
    break_even_buffer = 0
    trail_from = 0
    trail_distance = 0
    trail_atr = 0
"""
)
TRAILS = AIMS.replace("trail_atr = 0\n", "trail_atr = 1.5\n    min_move = 0\n")
RESTS = """
    [passive]
    entries = true
    exits = true
    cross_after = "PT150S"
"""
# So little of a bar may be filled that an order takes several, and fills in part.
THIN = "[paper_venue]\nparticipation = 0.0006\n"
