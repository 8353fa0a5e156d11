"""Films of episodes."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from vla_runtime.app.replay.film import write_film
from vla_runtime.cli.replay import main
from vla_runtime.core.errors import LogError, Refusal
from vla_runtime.core.types import Frame
from vla_runtime.episode.log import EpisodeLog
from vla_runtime.episode.reader import read_episode
from vla_runtime.episode.writer import EpisodeWriter
from vla_runtime.wire.frames import decode_frame, encode_frame

from ..episode.samples import log_passes

MS = 1_000_000
COLOURS = {"front": (200, 30, 30), "wrist": (30, 30, 200)}


def episode(path: Path, frames: int = 20) -> Path:
    """A second of two cameras in plain colours, 20 frames each; ``front`` grows brighter."""
    writer = EpisodeWriter(path, {"instruction": "reach the red block"})
    log_passes(writer, 3, log=EpisodeLog(writer))
    for seq in range(frames):
        for name, size in (("front", (48, 64)), ("wrist", (32, 32))):
            pixels = np.full((*size, 3), np.minimum(np.array(COLOURS[name]) + 2 * seq, 255), np.uint8)
            wire = encode_frame(name, Frame(pixels, seq * 50 * MS, seq), 0, "raw")
            writer.frame(decode_frame(wire, name), seq * 50 * MS)
    writer.close()
    return path


def read_gif(path: Path) -> list[np.ndarray]:
    found, animation = cv2.imreadanimation(str(path))
    assert found
    return [np.asarray(frame)[..., :3] for frame in animation.frames]


def test_a_film_shows_every_camera_at_the_pace_of_the_episode(tmp_path):
    assert write_film([read_episode(episode(tmp_path / "a.mcap"))], tmp_path / "a.gif", fps=10) == 10
    pictures = read_gif(tmp_path / "a.gif")
    assert len(pictures) == 10
    height, width = pictures[0].shape[:2]
    red, blue = pictures[0][100, 100].astype(int), pictures[0][100, width - 20].astype(int)
    assert red[2] > red[0] + 100
    assert blue[0] > blue[2] + 100
    assert pictures[-1][100, 100, 2] > pictures[0][100, 100, 2] + 20
    assert height > 288


def test_several_episodes_follow_each_other_in_one_film(tmp_path):
    both = [read_episode(episode(tmp_path / f"{name}.mcap", frames)) for name, frames in (("a", 20), ("b", 10))]
    assert write_film(both, tmp_path / "both.gif") == 15


def test_a_video_can_be_read_back(tmp_path):
    write_film([read_episode(episode(tmp_path / "a.mcap"))], tmp_path / "a.mp4")
    video = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    count = 0
    while video.read()[0]:
        count += 1
    assert count == 9 + 15  # the last picture stands for 1.5 s


@pytest.mark.parametrize(
    ("name", "message"), [("a.avi", "suffix '.avi' given; valid: .gif, .mp4, .webp"), ("no/a.gif", "no directory")]
)
def test_a_film_that_cannot_be_written_is_refused_before_it_is_made(tmp_path, name, message):
    with pytest.raises(Refusal, match=message):
        write_film([read_episode(episode(tmp_path / "a.mcap"))], tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mcap"]


def test_an_episode_without_frames_is_refused(tmp_path):
    with pytest.raises(LogError, match="holds no camera frame"):
        write_film([read_episode(episode(tmp_path / "a.mcap", frames=0))], tmp_path / "a.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mcap"]


def test_the_command_writes_a_film_and_compares_nothing_unasked(tmp_path, capsys):
    log = episode(tmp_path / "a.mcap")
    assert main([str(log), "--film", str(tmp_path / "a.gif")]) == 0
    assert "a.gif: 10 pictures" in capsys.readouterr().out
    assert len(read_gif(tmp_path / "a.gif")) == 10
