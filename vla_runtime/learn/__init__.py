"""The learning half: tasks, demonstrations, behaviour cloning, evaluation and checkpoints, on torchrl's VLA stack."""
