"""From demonstrations to training batches: a store on disk, its statistics, and buffers over it."""
