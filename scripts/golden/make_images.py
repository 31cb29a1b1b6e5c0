"""Writes test/golden/images: small pictures and what PIL and the Hugging Face processor make of them."""
import os

import numpy
import torch
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

from common import ROOT, setup, versions, write_json
from pictures import decode
from tiny_models import save

FOLDER = os.path.join(ROOT, "images")
UNIT = 28 * 28
# name, file, width, height, PIL mode, min_pixels, max_pixels
PICTURES = [
    ("tall_small", "tall_small.png", 37, 91, "RGB", 5 * UNIT, 20 * UNIT),
    ("square", "square.png", 112, 112, "RGB", 4 * UNIT, 20 * UNIT),
    ("column", "column.png", 64, 300, "RGB", 4 * UNIT, 7 * UNIT),
    ("photo", "photo.jpg", 200, 150, "RGB", 4 * UNIT, 6 * UNIT),
    ("gray", "gray.png", 90, 60, "L", 4 * UNIT, 5 * UNIT),
    ("palette", "palette.png", 80, 70, "P", 1 * UNIT, 5 * UNIT),
    ("alpha", "alpha.png", 66, 58, "RGBA", 4 * UNIT, 20 * UNIT),
    ("strip", "strip.png", 120, 3, "RGB", 2 * UNIT, 20 * UNIT),
    ("turned", "turned.jpg", 70, 40, "EXIF6", 1 * UNIT, 4 * UNIT),
]
# aspect ratio over 200: the processor refuses them
REFUSED = [("too_wide", "too_wide.png", 603, 3), ("too_tall", "too_tall.png", 1, 201)]


def paint(width, height, seed):
    """Smooth waves, a hard-edged box and a few noisy pixels: overshoot, clipping and ringing all occur."""
    rng = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:height, 0:width]
    planes = [128 + 120 * numpy.sin(x / (5 + 3 * c) + c) * numpy.cos(y / (9 - 2 * c)) for c in range(3)]
    pixels = numpy.stack(planes, -1)
    pixels[height // 4 : height // 2, width // 3 : 2 * width // 3] = [255, 0, 250]
    pixels[:, -max(1, width // 8) :] = [0, 255, 3]
    noisy = rng.random((height, width)) < 0.05
    pixels[noisy] = rng.integers(0, 256, (int(noisy.sum()), 3))
    return Image.fromarray(pixels.clip(0, 255).astype(numpy.uint8))


def write_picture(path, width, height, mode, seed):
    image = paint(width, height, seed)
    if mode == "L":
        image = image.convert("L")
    elif mode == "P":
        image = image.quantize(23)
    elif mode == "RGBA":
        ramp = numpy.linspace(0, 255, width).astype(numpy.uint8)
        image.putalpha(Image.fromarray(numpy.tile(ramp, (height, 1))))
    if mode == "EXIF6":
        exif = Image.Exif()
        exif[274] = 6
        image.save(path, quality=90, exif=exif)
    elif path.endswith(".jpg"):
        image.save(path, quality=90)
    else:
        image.save(path, optimize=True)


def process(name, file, mode, low, high, tensors):
    image = decode(os.path.join(FOLDER, file))
    width, height = image.size
    rows, columns = smart_resize(height, width, 28, low, high)
    resized = image.resize((columns, rows), Image.Resampling.BICUBIC)
    processor = Qwen2VLImageProcessorPil(min_pixels=low, max_pixels=high)
    out = processor(images=[image], return_tensors="pt")
    grid = out["image_grid_thw"][0].tolist()
    assert grid == [1, rows // 14, columns // 14]
    tensors[f"{name}.rgb"] = torch.from_numpy(numpy.array(image))
    tensors[f"{name}.resized"] = torch.from_numpy(numpy.array(resized))
    tensors[f"{name}.pixel_values"] = out["pixel_values"]
    check_patches(tensors[f"{name}.resized"], out["pixel_values"], grid, processor)
    return {
        "name": name, "file": file, "mode": mode, "width": width, "height": height, "min_pixels": low,
        "max_pixels": high, "resized_width": columns, "resized_height": rows, "grid": grid,
        "tokens": grid[1] * grid[2] // 4,
    }


def check_patches(resized, pixel_values, grid, processor):
    """The stored picture is the one the processor normalised: f64 rescale, f32 normalise, then patches."""
    mean = numpy.array(processor.image_mean, dtype=numpy.float32)
    std = numpy.array(processor.image_std, dtype=numpy.float32)
    scaled = (resized.numpy().astype(numpy.float64) * (1 / 255)).astype(numpy.float32)
    normal = (scaled - mean) / std
    _, rows, columns = grid
    blocks = normal.reshape(rows // 2, 2, 14, columns // 2, 2, 14, 3).transpose(0, 3, 1, 4, 6, 2, 5)
    doubled = numpy.repeat(blocks[:, :, :, :, :, None], 2, axis=5).reshape(rows * columns, 1176)
    assert numpy.array_equal(doubled, pixel_values.numpy())


def refused(name, file, width, height):
    Image.new("RGB", (width, height), (200, 30, 40)).save(os.path.join(FOLDER, file), optimize=True)
    try:
        Qwen2VLImageProcessorPil()(images=[decode(os.path.join(FOLDER, file))])
    except ValueError as error:
        return {"name": name, "file": file, "width": width, "height": height, "error": str(error)}
    raise AssertionError(f"{file} was accepted")


def sizes():
    """smart_resize alone, over many sizes: [height, width, min, max, resized height, resized width]."""
    rng = numpy.random.default_rng(3)
    rows = []
    edges = [(14, 14), (42, 42), (70, 70), (98, 98), (126, 42), (28, 28), (1, 1), (1, 200), (13, 13), (4000, 3000)]
    picks = [tuple(int(v) for v in numpy.exp(rng.uniform(0.7, 8.3, 2))) for _ in range(150)]
    for height, width in edges + picks:
        for low, high in [(3136, 12845056), (3136, 100352), (200704, 401408)]:
            if max(height, width) / min(height, width) <= 200:
                rows.append([height, width, low, high, *smart_resize(height, width, 28, low, high)])
    return rows


def main():
    setup()
    os.makedirs(FOLDER, exist_ok=True)
    tensors, rows = {}, []
    for seed, (name, file, width, height, mode, low, high) in enumerate(PICTURES):
        write_picture(os.path.join(FOLDER, file), width, height, mode, seed)
        rows.append(process(name, file, mode, low, high, tensors))
        print(rows[-1])
    save(os.path.join(FOLDER, "images.safetensors"), tensors)
    write_json(os.path.join(FOLDER, "images.json"), {
        "versions": versions(),
        "note": "alpha: pasted on white, round((rgb * a + 255 * (255 - a)) / 255); turned: EXIF orientation 6 applied first; width and height are after that",
        "images": rows, "refused": [refused(*r) for r in REFUSED], "smart_resize": sizes(),
    })


if __name__ == "__main__":
    main()
