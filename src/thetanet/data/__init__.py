"""Where samples come from: arrays, IDX files, MNIST."""
