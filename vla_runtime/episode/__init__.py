"""The log: one MCAP file per episode, written by its own process, read back exactly, salvaged when cut.

``log.EpisodeLog`` is the loop's recorder, ``process.RecorderProcess`` the writing process seen from the control
process, ``tap.FrameTap`` the same seen from the planner. ``reader.read_episode`` reads a file, whole or cut;
``recover.recover`` gives a cut one a valid end. Nothing here imports mcap or protobuf until a file is written or read.
"""
