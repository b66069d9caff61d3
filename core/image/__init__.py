"""What is done to voxels: intensity, resampling, metrics."""
