"""What acts inside attention: who may attend to whom."""
