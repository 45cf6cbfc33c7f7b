"""From the user's orders and refunds to silver: mapped, judged, resolved, converted, numbered and added up."""
