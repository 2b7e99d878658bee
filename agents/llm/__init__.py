"""Language models behind one port: who is asked, at what price, and what came back."""
