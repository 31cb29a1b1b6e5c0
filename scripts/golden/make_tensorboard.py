"""Writes test/golden/tensorboard.json: records of event files as TensorBoard's own writer makes them."""
import base64
import os
import tempfile

import tensorboard
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from common import ROOT, write_json

WALL_TIME = 1700000000.25
SCALARS = [
    ("train/reward", 1.5), ("train/learning_rate", 2e-6), ("train/completions/mean_length", 18.9375),
    ("eval/reward", -0.1), ("train/kl", float("nan")), ("train/loss", float("inf")),
]
TEXT = "**Größe**: 寿司 🍣"


def scalars(step):
    values = [summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in SCALARS]
    return event_pb2.Event(wall_time=WALL_TIME, step=step, summary=summary_pb2.Summary(value=values))


def text(step):
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)])
    tensor = tensor_pb2.TensorProto(dtype="DT_STRING", tensor_shape=shape, string_val=[TEXT.encode()])
    plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name="text")
    metadata = summary_pb2.SummaryMetadata(plugin_data=plugin, data_class=summary_pb2.DATA_CLASS_TENSOR)
    value = summary_pb2.Summary.Value(tag="args/text_summary", tensor=tensor, metadata=metadata)
    return event_pb2.Event(wall_time=WALL_TIME, step=step, summary=summary_pb2.Summary(value=[value]))


def main():
    version = event_pb2.Event(wall_time=WALL_TIME, file_version="brain.Event:2")
    version.source_metadata.writer = "vlmr1-native"
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    events = {
        "version": version,
        "start": event_pb2.Event(wall_time=WALL_TIME, step=41, session_log=start),
        "scalars": scalars(300),
        "text": text(0),
    }
    records = {}
    for name, event in events.items():
        with tempfile.TemporaryFile() as file:
            RecordWriter(file).write(event.SerializeToString())
            file.seek(0)
            records[name] = base64.b64encode(file.read()).decode()
    write_json(os.path.join(ROOT, "tensorboard.json"), {
        "versions": {"tensorboard": tensorboard.__version__},
        "wall_time": WALL_TIME,
        # JSON has no NaN.
        "scalars": [[tag, value if abs(value) < float("inf") else str(value)] for tag, value in SCALARS],
        "text": TEXT,
        "records": records,
    })


if __name__ == "__main__":
    main()
