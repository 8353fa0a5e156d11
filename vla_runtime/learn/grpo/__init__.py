"""Group-relative policy optimisation: token policies learn from whether whole episodes succeed."""
