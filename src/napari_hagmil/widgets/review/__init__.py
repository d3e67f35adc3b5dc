"""The dock that steps through regions, draws, concludes and exports."""
