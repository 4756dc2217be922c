"""What the course claims about cost, measured. Each module prints a table and writes a JSON beside itself."""
