"""How a parked exit is widened, modification by modification (mechanism 8)."""

from actors.domain.orders.chase_protection import CHASE_PROTECTION_PERCENT, MODIFICATION_LIMIT, chase_protection


def test_chase_widens_until_the_broker_takes_no_more_modifications() -> None:
    protections = [chase_protection(count) for count in range(MODIFICATION_LIMIT)]
    widths = [protection for protection in protections if protection is not None]
    assert len(widths) == MODIFICATION_LIMIT
    assert widths == sorted(widths)
    assert (widths[0], widths[-1]) == (CHASE_PROTECTION_PERCENT[0], CHASE_PROTECTION_PERCENT[-1])
    assert all(0 < width <= 100 for width in widths)
    assert chase_protection(MODIFICATION_LIMIT) is None
