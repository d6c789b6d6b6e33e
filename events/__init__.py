"""What happened: immutable facts, their envelope, and the values they are made of. The public contract."""
