"""What the exercises of each lab must do: one module for each lab, named as its notebook."""
