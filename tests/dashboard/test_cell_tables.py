"""Numbers in tables of cells: three significant digits, whole numbers whole, no zero with a sign."""

import numpy as np
import pandas as pd

from dashboard.views.cell_tables import rounded
from dashboard.views.cell_whatif import difference


def test_numbers_are_cut_as_sentences_cut_them_and_stay_numbers() -> None:
    table = pd.DataFrame({"trips": [152_335.4, 12.3456, 0.012345, -0.0, -3e-9, np.nan], "other": range(6)})
    cut = rounded(table, "trips")
    np.testing.assert_array_equal(cut["trips"], [152_335, 12.3, 0.0123, 0, 0, np.nan])
    assert not np.signbit(cut["trips"][:5]).any()
    assert list(cut["other"]) == list(range(6))


def test_a_change_of_a_share_is_in_percentage_points_and_none_has_no_sign() -> None:
    assert difference("wape", 0.042) == "+4.20\u202fpp"
    assert difference("wape", -1e-9) == "0\u202fpp"
    assert difference("mae", -12.345) == "−12.3"
