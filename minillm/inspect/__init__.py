"""Looking at the machine and into the model: `doctor`, `bench`."""
