"""The S0 strategy: six seats, one consensus, and code that turns it into an intent."""
